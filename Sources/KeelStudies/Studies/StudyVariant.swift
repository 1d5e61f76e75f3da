import Glibc
import KeelTraining

/// One training of a study.
package struct StudyVariant: Hashable, Sendable, Codable {
  /// How a training ended.
  package struct Outcome: Hashable, Sendable, Codable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable, Codable {
      /// It went through and learned.
      case survived
      /// Its loss left the finite numbers, or grew beyond ``StudyVariant/divergenceFactor``.
      case diverged
      /// It went through, and is hardly better than guessing.
      case stalled
    }

    package var kind: Kind
    /// The step at which it diverged, from 1.
    package var step: Int?

    package static let survived = Outcome(kind: .survived)
    package static let stalled = Outcome(kind: .stalled)
    package static func diverged(at step: Int) -> Outcome { Outcome(kind: .diverged, step: step) }

    package var description: String {
      switch kind {
      case .survived: "survived"
      case .diverged: "diverged at step \(step ?? 0)"
      case .stalled: "learned nothing"
      }
    }
  }

  /// An epoch.
  package struct Point: Hashable, Sendable, Codable {
    package var epoch: Int
    /// Over the epoch's training examples as they were met.
    package var loss: Double
    package var accuracy: Double
    /// Over the test examples at its end.
    package var testAccuracy: Double
    /// The part of its steps whose gradients were clipped.
    package var engagement: Double
  }

  /// The norm of each weight's gradient, and of all together, at some steps.
  package struct Trace: Hashable, Sendable, Codable {
    package var weights: [String]
    package var steps: [Int]
    /// For each weight, the norm at each step.
    package var norms: [[Double]]
    /// The norm over everything at each step.
    package var total: [Double]
  }

  /// A loss of so many times the first one (which counts as 1 at least) is a divergence.
  package static let divergenceFactor = 100.0

  /// Its name within its group.
  package var name: String
  /// What it is compared with.
  package var group: String
  /// How it differs from the others.
  package var options: String
  /// The part of the test examples that was right in the end.
  package var testAccuracy: Double
  /// The mean loss of the last epoch, or where it diverged, of the last step.
  package var finalLoss: Double
  /// The norm of all gradients at the first step, before clipping.
  package var firstGradientNorm: Double
  /// The largest of all steps, before clipping; infinite where one was not finite.
  package var largestGradientNorm: Double
  /// The part of all steps whose gradients were clipped.
  package var engagementRate: Double
  /// The median over the first epoch of the norm that clipping left; nil where nothing clips.
  package var firstClippedNorm: Double?
  /// Steps that were left out.
  package var skippedSteps: Int
  package var outcome: Outcome
  package var curve: [Point]
  package var trace: Trace
  /// Whether the page shows its gradients weight by weight.
  package var showsGradients: Bool
}

extension Double {
  /// The nearest number of six digits: what is worth keeping in a file.
  package var sixDigits: Double { rounded(toDigits: 6) }

  /// The nearest number of four digits: what can be seen in a curve.
  package var fourDigits: Double { rounded(toDigits: 4) }

  private func rounded(toDigits digits: Int) -> Double {
    // Of all NaN the one without a sign, which differs between devices.
    guard !isNaN else { return .nan }
    guard isFinite, self != 0 else { return self }
    let places = digits - 1 - Int(log10(magnitude).rounded(.down))
    guard places.magnitude <= 22 else { return self }
    let power = pow(10, Double(places.magnitude))
    return places >= 0 ? (self * power).rounded() / power : (self / power).rounded() * power
  }
}

extension StudyVariant {
  /// Without the norms of single weights where the page does not show them.
  var withoutHiddenGradients: StudyVariant {
    guard !showsGradients else { return self }
    var variant = self
    (variant.trace.weights, variant.trace.norms) = ([], [])
    return variant
  }
}

extension StudyVariant.Trace {
  /// Of no step.
  static let empty = StudyVariant.Trace(weights: [], steps: [], norms: [], total: [])

  /// The most steps that are kept.
  package static let limit = 24

  /// Every step of a history that its trace keeps, thinned evenly; weights alone.
  init(_ history: History) {
    let trace = history.gradients
    let isWeight = { (name: String) in !name.hasSuffix("bias") }
    let columns = trace.parameters.indices.filter { isWeight(trace.parameters[$0]) }
    let stride = max(1, (trace.steps.count + Self.limit - 1) / Self.limit)
    let rows = Swift.stride(from: 0, to: trace.steps.count, by: stride)
    weights = columns.map { trace.parameters[$0] }
    steps = rows.map { Int(trace.steps[$0]) }
    norms = columns.map { column in rows.map { Double(trace.norms[$0][column]).fourDigits } }
    total = rows.map { row in
      trace.norms[row].reduce(0) { $0 + Double($1) * Double($1) }.squareRoot().fourDigits
    }
  }
}
