/// The norm of each parameter's gradient over the steps of a training, thinned so that its size is
/// bounded: once there are twice as many steps as it keeps, every second one goes.
public struct GradientTrace: Hashable, Sendable, Codable {
  /// The most steps that are kept, twice.
  private static let limit = 512

  /// The parameters.
  public private(set) var parameters: [String] = []
  /// The steps that are kept.
  public private(set) var steps: [UInt64] = []
  /// For each of these, the norm of each parameter's gradient.
  public private(set) var norms: [[Float]] = []
  /// One step in so many is kept.
  private var stride: UInt64 = 1

  /// Nothing yet.
  public init() {}

  mutating func add(step: UInt64, norms values: [Float], of names: [String]) {
    if parameters != names { (parameters, steps, norms, stride) = (names, [], [], 1) }
    guard step % stride == 0 else { return }
    steps.append(step)
    norms.append(values)
    guard steps.count >= GradientTrace.limit else { return }
    stride *= 2
    let kept = steps.indices.filter { steps[$0] % stride == 0 }
    (steps, norms) = (kept.map { steps[$0] }, kept.map { norms[$0] })
  }

  /// What there was at a step, for going on from there.
  func until(step: UInt64) -> GradientTrace {
    var trace = self
    let kept = steps.indices.filter { steps[$0] <= step }
    (trace.steps, trace.norms) = (kept.map { steps[$0] }, kept.map { norms[$0] })
    return trace
  }

  /// Whether it was written by this type: as many rows as steps, as many columns as parameters.
  var isConsistent: Bool {
    steps.count == norms.count && norms.allSatisfy { $0.count == parameters.count } && stride > 0
  }
}
