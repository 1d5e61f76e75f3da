internal import KeelAutograd
package import KeelBackend
package import KeelCases

/// Times cases of the catalog on a device.
package struct CaseBenchmark {
  package let device: Device
  package let effort: Effort
  package let limits: DeviceLimits

  package init(device: Device, effort: Effort, limits: DeviceLimits) {
    self.device = device
    self.effort = effort
    self.limits = limits
  }

  /// A wrong kernel is not worth timing: the first small case of the operation that fails, if any.
  package func firstFailure(of operation: OperationName) -> CaseResult? {
    let runner = CaseRunner(device)
    for one in CaseCatalog.cases(of: operation).filter({ $0.sizeClass == .small })
      .prefix(effort.checks)
    {
      let result = runner.check(one)
      if !result.passed { return result }
    }
    return nil
  }

  /// A function that runs a case once.
  package func run(_ one: OperationCase) throws(TensorError) -> () throws(TensorError) -> Void {
    let operands = try CaseRunner(device).operands(one)
    return { () throws(TensorError) in _ = try one.run(operands) }
  }

  /// Runs one case until the effort is spent.
  package func measure(_ one: OperationCase) throws(TensorError) -> BenchmarkResult {
    let run = try run(one)
    let stopwatch = Stopwatch(device: device, effort: effort)
    let streamed = try stopwatch.streamed(run)
    let waited = try stopwatch.single(run)
    let seconds = streamed.median
    let least = limits.seconds(flops: one.work.flops, bytes: one.work.bytes)
    return BenchmarkResult(
      id: one.id, milliseconds: seconds * 1e3, waitedMilliseconds: waited.median * 1e3,
      spread: streamed.spread,
      gigaflops: one.work.flops > 0 ? Double(one.work.flops) / seconds * 1e-9 : nil,
      gigabytesPerSecond: one.work.bytes > 0 ? Double(one.work.bytes) / seconds * 1e-9 : nil,
      percentOfLimit: least > 0 ? 100 * least / seconds : nil,
      flopsPerByte: one.work.flops > 0 && one.work.bytes > 0
        ? Double(one.work.flops) / Double(one.work.bytes) : nil)
  }
}
