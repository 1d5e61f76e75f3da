// The module is being written.
