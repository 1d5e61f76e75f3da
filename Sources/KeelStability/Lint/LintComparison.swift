public import KeelAutograd
import KeelBackend

extension Lint {
  /// What is wrong about comparing predictions with labels number by number to count how many are
  /// right; empty for classes beside classes.
  ///
  /// - Parameters:
  ///   - predictions: what is compared, such as the outputs of a model by mistake.
  ///   - labels: the classes, one per example.
  public static func checkComparison(
    of predictions: Tensor, with labels: Tensor
  ) -> [Diagnostic] {
    let areClasses = predictions.dtype == .int32
    guard predictions.shape != labels.shape || !areClasses else { return [] }
    let what =
      predictions.shape == labels.shape
      ? "the predictions are numbers, the labels are classes"
      : "shapes differ: predictions are \(predictions.shape), labels \(labels.shape)"
    return [
      Diagnostic(
        .error, rule: "predictions-not-classes", place: "predictions",
        message: "\(what); they are equal only by accident, and the accuracy is always near 0",
        fixIt: "compare classes, not probabilities: predictions.argmax(), or "
          + "Trainer.evaluate(_:batchSize:)")
    ]
  }
}
