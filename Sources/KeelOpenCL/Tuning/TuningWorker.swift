internal import Glibc
package import KeelBackend

/// One piece of work for the process that runs candidates.
package struct TuningRequest: Hashable, Sendable, Codable {
  /// What is wrong with a candidate that is planted to try the tuner itself.
  package enum Fault: String, Sendable, Codable, CaseIterable {
    /// Computes nothing.
    case wrong
    /// Ends the process.
    case abort
    /// Never answers.
    case hang
  }

  package var subject: TuningSubject
  /// Nil is the planning function's.
  package var plan: PlanParameters?
  package var fault: Fault?
  /// Whether to check the candidate before its time is taken.
  package var checks: Bool
  /// For taking the time; none is taken of 0.
  package var seconds: Double

  package init(
    _ subject: TuningSubject, plan: PlanParameters?, fault: Fault? = nil, checks: Bool,
    seconds: Double
  ) {
    self.subject = subject
    self.plan = plan
    self.fault = fault
    self.checks = checks
    self.seconds = seconds
  }
}

/// What came of it.
package struct TuningReply: Hashable, Sendable, Codable {
  /// Why the candidate must not be used.
  package var refusal: String?
  package var times: TuningComparison?

  package init(refusal: String? = nil, times: TuningComparison? = nil) {
    self.refusal = refusal
    self.times = times
  }
}

/// Checks candidates and takes their times, one after the other.
package final class TuningWorker {
  private let backend: OpenCLBackend
  private let timer: TuningTimer
  private let seed: UInt64
  private let gate: TuningGate
  private var prepared: (subject: TuningSubject, arrays: TuningArrays)?

  /// - Parameter backend: one without tuned choices.
  package init(_ backend: OpenCLBackend, timer: TuningTimer? = nil, seed: UInt64 = 7) {
    self.backend = backend
    self.timer = timer ?? TuningTimer(backend)
    self.seed = seed
    gate = TuningGate(backend, seed: seed)
  }

  /// A device's worker: the device as its planning functions know it.
  package convenience init(entry: OpenCLDeviceEntry) throws(DeviceError) {
    self.init(try OpenCLBackend(entry, tuning: DeviceTuning.none))
  }

  package func reply(to request: TuningRequest) -> TuningReply {
    var plan: TunedPlan?
    if let parameters = request.plan {
      plan = TunedPlan(parameters, of: request.subject.operation)
      let computes = plan?.computes(
        request.subject, isCPUClass: backend.isCPUClass, limits: backend.limits)
      guard computes == true else {
        return TuningReply(refusal: "cannot compute \(request.subject)")
      }
    }
    let run = plan.map { backend.run(by: $0) } ?? backend.formula(request.subject)
    do {
      return try reply(to: request, plan, request.fault.map { planted($0, run) } ?? run)
    } catch {
      return TuningReply(refusal: "\(error)")
    }
  }

  private func reply(
    to request: TuningRequest, _ plan: TunedPlan?, _ run: @escaping TuningGate.Run
  ) throws -> TuningReply {
    if request.checks {
      if let refusal = try gate.refusal(of: run, plan: plan, for: request.subject) {
        return TuningReply(refusal: refusal)
      }
    }
    guard request.seconds > 0 else { return TuningReply() }
    let arrays = try prepare(request.subject)
    let standard = backend.formula(request.subject)
    let times = try timer.compare(
      seconds: request.seconds,
      candidate: { () throws(DeviceError) in try run(request.subject, arrays) },
      standard: { () throws(DeviceError) in try standard(request.subject, arrays) })
    return TuningReply(times: times)
  }

  private func prepare(_ subject: TuningSubject) throws(DeviceError) -> TuningArrays {
    if let prepared, prepared.subject == subject { return prepared.arrays }
    prepared = nil
    let problem = TuningProblem(subject, seed: seed)
    let shapes = subject.shapes
    let arrays = TuningArrays(
      left: try backend.array(problem.left, shape: shapes.left),
      right: try backend.array(problem.right, shape: shapes.right),
      bias: problem.bias.isEmpty
        ? nil : try backend.array(problem.bias, shape: [problem.bias.count]),
      result: try backend.allocate(shapes.result, .float32))
    prepared = (subject, arrays)
    return arrays
  }

  private func planted(
    _ fault: TuningRequest.Fault, _ run: @escaping TuningGate.Run
  ) -> TuningGate.Run {
    { (subject: TuningSubject, arrays: TuningArrays) throws(DeviceError) in
      switch fault {
      case .abort: abort()
      case .hang: while true { sleep(1) }
      // The fastest of all.
      case .wrong: break
      }
    }
  }
}
