public import KeelBackend

extension RewindPlan {
  /// A plan from text: what differs from the usual one, such as `every=16,spike=8,at-most=3` or
  /// `shrink=0.5`.
  ///
  /// - `every=STEPS`: the most steps between the copies that are kept;
  /// - `spike=DEVIATIONS`: how far above the usual log ‖g‖ may be, or `off`;
  /// - `shrink=FACTOR`: multiplies the learning rate in place of leaving the batch out;
  /// - `at-most=TIMES`: how often a training goes back.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that says which part cannot be used and what it takes.
  public init(parsing text: String) throws(TensorError) {
    self.init()
    var seen: Set<String> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2, let form = RewindPlan.forms[sides[0]] else {
        throw Stability.refusal(
          "rewind", "parts of every=STEPS, spike=DEVIATIONS|off, shrink=FACTOR, at-most=TIMES",
          "'\(part)'")
      }
      guard seen.insert(sides[0]).inserted else {
        throw Stability.refusal("rewind", "\(sides[0]) once", "'\(text)'")
      }
      guard set(sides[0], sides[1]) else {
        throw Stability.refusal("rewind", "\(sides[0])=\(form)", "'\(part)'")
      }
    }
    try validate()
  }

  private static let forms = [
    "every": "a whole number of steps", "spike": "a number of deviations, or off",
    "shrink": "a factor between 0 and 1", "at-most": "a whole number of times",
  ]

  /// Takes over one part; false where its value is none.
  private mutating func set(_ name: String, _ value: String) -> Bool {
    switch (name, Int(value), Float(value)) {
    case ("every", let steps?, _): interval = steps
    case ("at-most", let times?, _): maximum = times
    case ("spike", _, let deviations?): spikeThreshold = deviations
    case ("spike", _, nil) where value == "off": spikeThreshold = nil
    case ("shrink", _, let factor?): response = .shrinkLearningRate(factor)
    default: return false
    }
    return true
  }
}

extension RewindPlan: CustomStringConvertible {
  /// The text that ``init(parsing:)`` reads, such as `every=32,spike=12.0,at-most=10`.
  public var description: String {
    var parts = ["every=\(interval)", "spike=\(spikeThreshold.map { "\($0)" } ?? "off")"]
    if case .shrinkLearningRate(let factor) = response { parts.append("shrink=\(factor)") }
    return (parts + ["at-most=\(maximum)"]).joined(separator: ",")
  }
}
