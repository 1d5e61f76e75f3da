/// What became of a step.
public enum StepOutcome: Hashable, Sendable {
  /// The parameters changed as the optimizer says.
  case applied
  /// The same with gradients that clipping made smaller: their norm was multiplied by `factor`.
  case clipped(factor: Float)
  /// Values that were not finite were replaced as the policy says, and the step taken.
  case repaired(tensors: [String])
  /// Nothing changed: no weight, moment, step count or schedule.
  case skipped(SkipReason)
  /// The training went back to an earlier step and left this one's batch out.
  case rewound(SkipReason)
}

/// Why a step was not taken.
public enum SkipReason: Hashable, Sendable {
  /// Gradients of these parameters were not finite.
  case gradient(tensors: [String])
  /// The loss was not finite, the gradients were.
  case loss
  /// The norm of the gradients was far above those of the steps before: so many robust deviations.
  case spike(score: Float)
  /// An earlier step had stopped the training already.
  case halted
}

extension StepOutcome: CustomStringConvertible {
  /// A few words, such as `clipped by 0.25` or `skipped: the gradient of conv1.weight is not
  /// finite`.
  public var description: String {
    switch self {
    case .applied: "applied"
    case .clipped(let factor): "clipped by \(factor)"
    case .repaired(let tensors): "repaired: \(SkipReason.gradient(tensors: tensors))"
    case .skipped(let reason): "skipped: \(reason)"
    case .rewound(let reason): "rewound: \(reason)"
    }
  }

  /// Whether the parameters changed.
  public var changesParameters: Bool {
    switch self {
    case .applied, .clipped, .repaired: true
    case .skipped, .rewound: false
    }
  }
}

extension SkipReason: CustomStringConvertible {
  /// A clause, such as `the loss is not finite`.
  public var description: String {
    switch self {
    case .gradient(let tensors):
      switch tensors.count {
      case 0: "the gradient is not finite"
      case 1...3: "the gradient of \(tensors.joined(separator: ", ")) is not finite"
      default:
        "the gradient of \(tensors.prefix(3).joined(separator: ", ")) and "
          + "\(tensors.count - 3) more is not finite"
      }
    case .loss: "the loss is not finite"
    case .spike(let score): "the gradient norm is \(score) deviations above the usual"
    case .halted: "an earlier step had stopped the training"
    }
  }
}

extension SkipReason {
  /// Whether values were not finite.
  package var isNonFinite: Bool {
    switch self {
    case .gradient, .loss: true
    case .spike, .halted: false
    }
  }
}

extension StepOutcome: Codable {}
extension SkipReason: Codable {}
