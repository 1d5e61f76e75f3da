import KeelAutograd
import KeelBackend
import KeelNN

/// Looks at the operations of one computation for what layers do not tell.
final class LintTrace: LayerObserver, OperationObserver {
  private(set) var found: [Diagnostic] = []
  private let model: Model
  private var path: [String] = []
  private var softmaxOutput: NDArray?
  private var outputs: [NDArray] = []
  /// Whether the result is a difference of what the parameters gave, perhaps summed.
  private(set) var isDifference = false

  init(_ model: Model) { self.model = model }

  /// Whether a tensor is what the last softmax gave, perhaps in another shape.
  func isSoftmax(_ tensor: Tensor) -> Bool {
    softmaxOutput?.isSameMemory(as: tensor.value) ?? false
  }

  private var place: String { path.last { !$0.isEmpty } ?? "model" }

  private func note(_ diagnostic: Diagnostic) {
    if !found.contains(where: diagnostic.repeats) { found.append(diagnostic) }
  }

  private func values(_ tensor: Tensor) -> [Float] { (try? tensor.scalars()) ?? [] }

  func operationRan(
    _ name: OperationName, method: String, inputs: [Tensor], output: Tensor
  ) -> Int {
    switch method {
    case "softmax": softmaxOutput = output.value
    case "divide" where inputs.count == 2: checkDivision(inputs[1])
    case "sigmoidCrossEntropy": checkTargets(inputs)
    case "softmaxCrossEntropy", "softmaxCrossEntropyPerExample":
      if isSoftmax(inputs[0]) { note(Lint.softmaxTwice("loss")) }
      if inputs[0].shape.extents.last == 1 { note(Lint.oneUnit("loss")) }
    default: break
    }
    let isSum = name == .reduction || method == "mean" || method == "sum"
    if method == "subtract", inputs.count == 2 {
      isDifference = inputs.allSatisfy(\.requiresGradient)
    } else if !isSum {
      isDifference = false
    }
    return 0
  }

  private func checkDivision(_ divisor: Tensor) {
    guard divisor.requiresGradient else { return }
    let values = values(divisor)
    guard let low = values.min(), let high = values.max() else { return }
    let smallest = values.map { abs($0) }.min() ?? 0
    let crosses = low < 0 && high > 0
    guard crosses || smallest < 1e-6 else { return }
    note(
      Diagnostic(
        .warning, rule: "division-near-zero", place: place,
        message: "what it divides by depends on parameters and may be 0: here it is "
          + "\(Double(low).compact()) … \(Double(high).compact()), as near to 0 as "
          + "\(Double(smallest).compact()); this is no normalisation",
        fixIt: "use BatchNorm(), or divide by what is above 0, such as a softplus + 1e-3"))
  }

  private func checkTargets(_ inputs: [Tensor]) {
    guard inputs.count == 2 else { return }
    if inputs[1].requiresGradient, !inputs[0].requiresGradient {
      note(
        Diagnostic(
          .error, rule: "labels-and-logits-exchanged", place: "loss",
          message: "the targets depend on parameters and the outputs do not: labels and logits "
            + "are exchanged",
          fixIt: "write logits.sigmoidCrossEntropy(targets: labels)"))
    }
    let targets = values(inputs[1])
    let outside = targets.count { !($0 >= 0 && $0 <= 1) }
    guard outside > 0 else { return }
    note(
      Diagnostic(
        .error, rule: "targets-outside-unit-interval", place: "loss",
        message: "sigmoid-cross-entropy takes targets in 0 ... 1, \(outside) of \(targets.count) "
          + "are outside: \(Double(targets.min() ?? 0).compact()) … "
          + "\(Double(targets.max() ?? 0).compact())",
        fixIt: "write logits.sigmoidCrossEntropy(targets: labels), with labels in 0 ... 1"))
  }

  func layerBegan(_ layer: LayerVisit, input: Tensor) throws(TensorError) {
    path.append(layer.path)
  }

  func layerEnded(_ layer: LayerVisit, output: Tensor) throws(TensorError) -> Tensor {
    path.removeLast()
    return output
  }

  func pullbackBegan(_ number: Int, upstream: NDArray) {}
  func pullbackEnded(_ number: Int, gradients: [NDArray?]) {}
  func gradientsAdded(_ number: Int, sum: NDArray) {}
  func met(_ tensor: Tensor, as name: String) {}
  func partBegan(_ part: TracedPart) {}
  func partEnded() {}
}
