public import KeelAutograd
public import KeelBackend
import KeelData
public import KeelNN

extension Lint {
  /// What the rules say about one computation of a loss, as a loop of one's own has it: runs it
  /// forward and backward once, and changes nothing but what gradient taps keep.
  ///
  /// Finds parameters that no gradient reaches, a softmax before a loss that applies its own,
  /// targets and outputs that were exchanged, gradients in the place of a loss, and divisions by
  /// what may be 0. Values are read by the host: for one call before a training, not for each step.
  ///
  /// ```swift
  /// let found = Lint.checkLoss(of: model) { (pass) throws(TensorError) in
  ///   try loss(model(images, pass), labels)
  /// }
  /// ```
  public static func checkLoss(
    of model: Model, _ loss: (Pass) throws(TensorError) -> Tensor
  ) -> [Diagnostic] {
    do throws(TensorError) {
      let pass = try LintPass(model, loss)
      return (pass.found + pass.lossRules()).errorsFirst
    } catch { return [failed("\(error)")] }
  }

  static func failed(_ sentence: String) -> Diagnostic {
    Diagnostic(
      .error, rule: "pass-fails", place: "model", message: sentence,
      fixIt: "the first step would end with the same error")
  }
}

extension Lint {
  /// What to do in place of a difference of outputs.
  package static let pairLossHint =
    "name a pair loss, such as log(1 + exp(f(x-) - f(x+))): "
    + "compile(pair: PairTerm(form: .logistic))"
}

extension LintSubject {
  /// What one pass on a few examples shows.
  func passRules() -> [Diagnostic] {
    let model = model
    guard train == nil || train?.exampleShape == model.inputShape else { return [] }
    do throws(TensorError) {
      let inputs = try fewInputs()
      let pass = try LintPass(model) { (pass) throws(TensorError) in try model(inputs, pass) }
      var found = pass.found
      if takesLogits, pass.endsInSoftmax { found.append(Lint.softmaxTwice(outputPlace)) }
      return found + pass.unusedParameters()
    } catch { return [Lint.failed("\(error)")] }
  }

  private func fewInputs() throws(TensorError) -> Tensor {
    let count = max(2, min(4, train?.count ?? 4))
    let shape = Shape([count] + model.inputShape.extents)
    if let train, train.count >= 2 {
      let places = Array(Int32(0)..<Int32(count))
      return try Tensor(
        train.gather(places).features.normalized, shape: shape, on: model.device)
    }
    // Any numbers that differ will do.
    let values = (0..<shape.count).map { Float(($0 &* 37 &+ 11) % 101) / 101 }
    return try Tensor(values, shape: shape, on: model.device)
  }
}

/// A forward and a backward pass whose operations are watched; gradients go beside the arena's.
final class LintPass {
  private(set) var found: [Diagnostic] = []
  private(set) var endsInSoftmax = false
  private let model: Model
  private let result: Tensor
  private let trace: LintTrace
  private var reached: Set<ObjectIdentifier> = []

  init(
    _ model: Model, _ body: (Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) {
    self.model = model
    let trace = LintTrace(model)
    self.trace = trace
    let kept = try model.copiesOfStates()
    let outcome = Result { () throws(TensorError) in
      var pass = model.trainingPass(step: model.lastPass)
      pass.observer = trace
      return try observingOperations(trace) { () throws(TensorError) in try body(pass) }
    }
    try model.restore(kept)
    result = try outcome.get()
    endsInSoftmax = trace.isSoftmax(result)
    try runBackward()
    found = trace.found
  }

  private func runBackward() throws(TensorError) {
    guard result.requiresGradient else { return }
    let total = try result.shape.count == 1 ? result : result.sum()
    let backend = model.device.backend
    var failure: DeviceError?
    try total.backward(keepsGraph: false) { leaf in
      self.reached.insert(ObjectIdentifier(leaf))
      do throws(DeviceError) { return try backend.newArray(leaf.shape) } catch {
        failure = error
        return nil
      }
    }
    if let failure { throw .device(failure) }
  }

  /// Trainable parameters that the result does not depend on.
  func unusedParameters() -> [Diagnostic] {
    let unused = model.parameters.filter { parameter in
      guard parameter.isTrainable, let leaf = parameter.place?.tracked else { return false }
      return !reached.contains(ObjectIdentifier(leaf))
    }
    guard !unused.isEmpty, !reached.isEmpty else { return [] }
    let first = unused[0].name.split(separator: ".").dropLast().joined(separator: ".")
    return [
      Diagnostic(
        .warning, rule: "unused-branch", place: first.isEmpty ? unused[0].name : first,
        message: "no gradient reaches \(unused.map(\.name).joined(separator: ", ")): what is "
          + "computed with them is not used",
        fixIt: "use the branch's output, remove the branch, or freeze it")
    ]
  }

  func lossRules() -> [Diagnostic] {
    guard result.shape.count == 1 else {
      return [
        Diagnostic(
          .error, rule: "scalar-loss", place: "loss",
          message: "a loss is one number, this is \(result.shape)"
            + (trace.isDifference ? ": a difference of outputs, which is no gradient" : ""),
          fixIt: trace.isDifference ? Lint.pairLossHint : "take its mean")
      ]
    }
    if trace.isDifference {
      return [
        Diagnostic(
          .warning, rule: "difference-as-gradient", place: "loss",
          message: "a difference of two outputs is neither a loss nor a gradient: nothing bounds "
            + "it from below",
          fixIt: Lint.pairLossHint)
      ]
    }
    guard !reached.isEmpty || model.parameters.allSatisfy({ !$0.isTrainable }) else {
      return [
        Diagnostic(
          .error, rule: "loss-without-gradient", place: "loss",
          message: "the loss depends on no parameter of the model: gradients are constants, and "
            + "their own gradient, a second-order quantity, is no update",
          fixIt: "return the loss of the outputs of model(inputs, pass); gradients are computed "
            + "from it")
      ]
    }
    return unusedParameters()
  }
}
