package import KeelBackend

extension OpenCLBackend: SoftmaxBackend {
  package func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try launchRows("softmax", x, y)
  }

  package func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try launchRows("softmax_gradient", y, dy, dx)
  }

  package func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try launchRows("softmax_logarithm", x, y)
  }

  package func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try launchRows("softmax_logarithm_gradient", y, dy, dx)
  }

  private func launchRows<each Operand: KernelArgument>(
    _ function: String, _ first: NDArray, _ others: repeat each Operand
  ) throws(DeviceError) {
    if first.count == 0 { return }
    let columns = first.shape[first.shape.rank - 1]
    let rows = first.count / columns
    let plan = TeamPlan.rows(rows, of: columns, self)
    try launch(
      function, from: .softmax, options: plan.options, grid: plan.grid, first,
      repeat each others, UInt32(rows), UInt32(columns), UInt32(plan.run))
  }
}
