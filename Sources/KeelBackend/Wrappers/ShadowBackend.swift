internal import Synchronization

/// A device under watch: one launch in N is computed again on a reference device and compared.
///
/// Drivers of OpenCL devices are wrong now and then, mostly in silence. This wrapper copies what a
/// launch reads (and what it updates in place) before it runs, makes the same call on the reference
/// device with the copies, and compares what both have written: exactly where the contract says so,
/// else against an error bound that follows from the operands (``ShadowTolerance``).
///
/// Launches that are not looked at cost a count. One that is waits for the device.
package final class ShadowBackend: InterceptingBackend {
  package let inner: any Backend
  private let reference: any Backend
  private let policy: ShadowPolicy
  private let onFinding: @Sendable (ShadowFinding) -> Void
  private let state: Mutex<State>
  private static let mostFindings = 64

  private struct State: Sendable {
    var schedule: ShadowSchedule
    var report = ShadowReport()
    var rerouted: Set<String> = []
  }

  private enum Plan {
    case plain, check(launch: UInt64), reroute
  }

  /// - Parameters:
  ///   - inner: the device to watch.
  ///   - reference: the device to believe, such as the CPU device.
  ///   - every: N; 1 looks at every launch.
  ///   - seed: of the choice of launches.
  ///   - onFinding: told of each finding when it is found.
  package init(
    _ inner: any Backend, reference: any Backend, every: Int, policy: ShadowPolicy = .report,
    seed: UInt64 = 0, onFinding: @escaping @Sendable (ShadowFinding) -> Void = { _ in }
  ) {
    self.inner = HalfStorageBackend.inside(inner)
    self.reference = HalfStorageBackend.inside(reference)
    self.policy = policy
    self.onFinding = onFinding
    state = Mutex(State(schedule: ShadowSchedule(every: every, seed: seed)))
  }

  /// Nothing but conversions: what else has 16-bit arrays is made in float32, with the same bits,
  /// so that what is compared has float32's accuracy.
  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool { operation == .convert }

  /// What was seen so far.
  package var report: ShadowReport { state.withLock { $0.report } }

  package func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    let plan = state.withLock { state -> Plan in
      state.report.launches += 1
      if state.rerouted.contains(method) {
        state.report.reroutedCalls[Self.name(method), default: 0] += 1
        return .reroute
      }
      return state.schedule.isDue(method) ? .check(launch: state.report.launches) : .plain
    }
    switch plan {
    case .plain: try body(inner, inputs, outputs)
    case .reroute:
      let call = try ShadowCall(inputs, outputs, from: inner, to: reference)
      try body(reference, call.inputs, call.outputs)
      try store(call.outputs, in: outputs)
    case .check(let launch):
      let call = try ShadowCall(inputs, outputs, from: inner, to: reference)
      try body(inner, inputs, outputs)
      try compare(operation, method, launch, call, inputs, outputs, body)
    }
  }

  private static func name(_ method: String) -> String { String(method.prefix { $0 != "(" }) }

  private func compare(
    _ operation: OperationName, _ method: String, _ launch: UInt64, _ call: ShadowCall,
    _ inputs: [NDArray], _ outputs: [NDArray], _ body: DeviceCall
  ) throws(DeviceError) {
    let before = try call.keepingOutputs()
    try body(reference, call.inputs, call.outputs)
    let got = try outputs.map { (output) throws(DeviceError) in
      try reference.newCopy(of: output, on: inner)
    }
    let comparison = try ShadowComparison(
      operation, method: Self.name(method), before: before, expected: call.outputs, got: got, body)
    state.withLock { state in
      state.report.checks += 1
      state.report.checksByMethod[Self.name(method), default: 0] += 1
    }
    guard let worst = comparison.worst else { return }
    let finding = ShadowFinding(
      operation: operation.rawValue, method: Self.name(method), launch: launch,
      inputShapes: inputs.map(\.shape.extents), outputShapes: outputs.map(\.shape.extents),
      output: worst.output, index: worst.index, got: worst.got, expected: worst.expected,
      ulps: worst.ulps, scaledError: worst.scaledError, wrongCount: comparison.wrongCount)
    state.withLock { state in
      state.report.findingCount += 1
      if state.report.findings.count < Self.mostFindings { state.report.findings.append(finding) }
      guard policy == .reroute else { return }
      state.rerouted.insert(method)
      state.report.reroutedCalls[Self.name(method), default: 0] += 1
    }
    onFinding(finding)
    switch policy {
    case .report: break
    case .raise: throw .wrongResult(finding: finding.description)
    case .reroute: try store(call.outputs, in: outputs)
    }
  }

  /// Brings results of the reference device to the device.
  private func store(_ results: [NDArray], in outputs: [NDArray]) throws(DeviceError) {
    for (result, output) in zip(results, outputs) {
      try inner.copy(result, on: reference, into: output)
    }
  }
}
