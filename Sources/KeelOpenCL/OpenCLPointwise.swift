internal import KeelBackend

struct PointwiseKernelKey: Hashable {
  let instructions: [PointwiseProgram.Instruction]
}
