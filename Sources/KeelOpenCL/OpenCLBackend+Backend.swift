internal import KeelBackend

// Every family is there: the compiler names the one that is not.
extension OpenCLBackend: Backend {}
