package import KeelBackend

extension OpenCLBackend: DropoutBackend {
  package func dropout(
    _ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray
  ) throws(DeviceError) {
    let plan = drawPlan(x.count)
    let rate = DropoutRate(rate)
    try launch(
      "dropout", from: .dropout, options: plan.options + x.dtype.halfOptions, grid: plan.grid, x, y,
      UInt32(x.count), UInt32(plan.run), key.seedAndStep, key.stream, rate.threshold, rate.scale)
  }
}
