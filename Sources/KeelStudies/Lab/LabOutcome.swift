import KeelBackend

/// What became of a training.
package enum LabVerdict: String, Hashable, Sendable, Codable, CaseIterable {
  /// It reached its goal.
  case survived
  /// Nothing exploded, and nothing was learned: the goal is not reached.
  case stalled
  /// The loss went beyond its bound, or was not finite.
  case diverged
  /// A policy ended it with an error.
  case stopped
  /// The defence does not apply.
  case notApplicable = "n/a"
}

/// One catastrophe met with one defence.
package struct LabCell: Hashable, Sendable {
  package var catastrophe: String
  package var defence: String
  package var verdict: LabVerdict
  /// The step, from 1, at which the loss first went beyond its bound or the training was stopped;
  /// nil where neither happened.
  package var failedAt: Int?
  /// The loss of good examples after the last step.
  package var finalLoss: Double?
  /// The largest norm of all gradients before clipping; infinite where one was not finite.
  package var largestNorm: Double?
  /// Why the defence does not apply.
  package var reason: String?

  /// What a table shows, such as `diverged 15`.
  package var text: String {
    switch verdict {
    case .survived: "ok " + (finalLoss.map { $0.compact() } ?? "")
    case .stalled: "stalled"
    case .diverged, .stopped: "\(verdict.rawValue) \(failedAt ?? 0)"
    case .notApplicable: "n/a"
    }
  }
}

/// A number that theory gives, beside the one that a training showed.
package struct LabClaim: Hashable, Sendable {
  package var catastrophe: String
  package var quantity: String
  package var formula: String
  package var predicted: Double
  package var measured: Double
  /// The largest relative difference; 0 for counts, which must be equal.
  package var tolerance: Double

  /// Whether the two agree.
  package var holds: Bool {
    abs(measured - predicted) <= tolerance * abs(predicted) && measured.isFinite
  }
}
