import KeelBackend
import KeelData
import KeelStability

extension History {
  /// How many steps ended how, and which part that is.
  package var outcomeCounts: [(name: String, count: Int, part: Double)] {
    var counts: [(name: String, count: Int)] = []
    for step in steps {
      let name =
        switch step.outcome {
        case .applied: "applied"
        case .clipped: "clipped"
        case .repaired: "repaired"
        case .skipped: "left out"
        case .rewound: "gone back from"
        }
      if let place = counts.firstIndex(where: { $0.name == name }) {
        counts[place].count += 1
      } else {
        counts.append((name, 1))
      }
    }
    let rewinds = faults.count { $0.response != .skipped && $0.response != .stopped }
    if rewinds > 0 { counts.append(("gone back from", rewinds)) }
    return counts.map { ($0.name, $0.count, Double($0.count) / Double(max(1, steps.count))) }
  }

  /// The part of steps that changed parameters whose gradients were clipped.
  package var engagement: Double {
    let taken = steps.filter(\.outcome.changesParameters)
    return Double(taken.count { $0.clipCoefficient < 1 }) / Double(max(1, taken.count))
  }
}

/// What a table of steps that went wrong says of each.
extension FaultRecord {
  var row: [String] {
    let done =
      switch response {
      case .skipped: "left out"
      case .rewound(let step): "went back to step \(step), left the batch out"
      case .slowed(let step, let factor): "went back to step \(step), learning rate x \(factor)"
      case .stopped: "the training ended"
      }
    return [
      "\(step)", "\(place.epoch + 1)", "\(place.step + 1)", "\(reason)",
      Double(loss).compact(), Double(gradientNorm).compact(), done,
    ]
  }

  static let columns = [">step", ">epoch", ">batch", "what", ">loss", ">gradient norm", "done"]
}
