import KeelBackend
import KeelNN
import KeelStability

extension RunDescription {
  /// What a page says of a run.
  var rows: [[String]] {
    var rows = [
      ["model", model?.name ?? "one's own"],
      ["input", "\(Shape(input))"],
      ["parameters", parameters.grouped],
      ["optimizer", "\(optimizer.name), learning rate \(optimizer.learningRate)"],
      ["schedule", "\(schedule)"],
      ["loss", loss.name],
      ["clipping", "\(stability.clip)"],
      ["gradients that are not finite", faultText],
      ["seed", "\(seed), order of examples \(plan.seed)"],
      ["batch", "\(plan.batchSize) x \(plan.gradientAccumulation)"],
      ["examples", "\(plan.examples) to train, \(plan.validationExamples) to validate"],
      ["steps", "\(progress.steps), \(progress.isComplete ? "complete" : "not complete")"],
    ]
    if optimizer.weightDecay > 0 {
      rows.insert(["weight decay", "\(optimizer.weightDecay)"], at: 4)
    }
    if let precision, precision != .float32 {
      rows.insert(["precision", precision.rawValue], at: 3)
    }
    if let text = firstValuesText { rows.insert(["first values", text], at: 3) }
    for (name, value) in data.sorted(by: { $0.key < $1.key }) { rows.append([name, value]) }
    return rows
  }

  /// The policy, and how it goes back if it does.
  private var faultText: String {
    guard stability.onFault == .rewind else { return stability.onFault.rawValue }
    return "rewind (\(stability.rewind))"
  }

  /// What gave the first values where it was not the layers alone.
  private var firstValuesText: String? {
    let parts = [initialization?.initializer.map { "\($0)" }, initialization?.method]
    let text = parts.compactMap { $0 }.joined(separator: ", then ")
    return text.isEmpty ? nil : text
  }

  private var tuningText: String {
    guard let tuning else { return "none: kernels as the planning functions choose" }
    return "\(tuning.fingerprint); \(tuning.choices.count) choices used"
  }

  private var captureText: String {
    guard let capture else { return "not recorded" }
    let count = "\(capture.replays) since the training last began"
    return capture.declined.map { "\(count); others not: \($0)" } ?? count
  }

  /// What computed it.
  var machineRows: [[String]] {
    [
      ["device", "\(device.name) (\(device.selector))"],
      ["platform", device.platform],
      ["driver", device.driver],
      ["interface or instruction set", device.version],
      ["class of kernels", device.kind.rawValue],
      ["compute units", "\(device.computeUnits)"],
      ["tuning", tuningText],
      ["operands of products", products?.rawValue ?? "not recorded"],
      ["steps repeated from a record", captureText],
      ["Keel", build?.keel ?? "not recorded"],
      ["Swift compiler", build?.swift ?? "not recorded"],
    ]
  }
}
