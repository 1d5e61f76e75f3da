import KeelBackend
import KeelNN

/// Rules about the outputs of the network and the loss they go to.
extension LintSubject {
  func outputRules() -> [Diagnostic] {
    guard let loss else { return [] }
    return activationBeforeLogits(loss) + outputsOfTheLoss(loss)
  }

  /// The loss applies its own softmax or sigmoid.
  private func activationBeforeLogits(_ loss: Loss) -> [Diagnostic] {
    guard let last = layout.last else { return [] }
    if last.layer is Softmax, takesLogits { return [Lint.softmaxTwice(last.path)] }
    guard let activation = last.activation, activation != .identity else { return [] }
    if activation == .sigmoid, loss == .sigmoidCrossEntropy {
      return [
        Diagnostic(
          .error, rule: "sigmoid-before-logits-loss", place: last.path,
          message: "the outputs are probabilities, but \(loss.name) takes logits and applies the "
            + "sigmoid itself: it is applied twice, and gradients shrink",
          fixIt: "leave the sigmoid of the last layer out")
      ]
    }
    guard takesLogits || loss == .sigmoidCrossEntropy else { return [] }
    return [
      Diagnostic(
        .warning, rule: "activation-on-logits", place: last.path,
        message: "\(activation.name) bounds the logits that \(loss.name) takes, which should be "
          + "any numbers",
        fixIt: "leave the activation of the last layer out")
    ]
  }

  private func outputsOfTheLoss(_ loss: Loss) -> [Diagnostic] {
    let shape = model.outputShape
    guard takesLogits else { return [] }
    if shape.extents.last == 1 { return [Lint.oneUnit(outputPlace)] }
    guard shape.rank != 1 else { return [] }
    return [
      Diagnostic(
        .error, rule: "output-shape", place: outputPlace,
        message: "\(loss.name) takes one row of logits per example, the network gives \(shape)",
        fixIt: "put Flatten() or GlobalAvgPool2D() before the last layer")
    ]
  }
}

extension Lint {
  static func softmaxTwice(_ place: String) -> Diagnostic {
    Diagnostic(
      .error, rule: "softmax-before-logits-loss", place: place,
      message: "the outputs are probabilities, but softmax-cross-entropy takes logits and applies "
        + "the softmax itself: it is applied twice, and gradients shrink",
      fixIt: "leave the softmax of the network out")
  }

  /// Also what `fit` says.
  package static func oneUnit(_ place: String) -> Diagnostic {
    Diagnostic(
      .error, rule: "one-unit-softmax", place: place,
      message: "softmax-cross-entropy of one unit: the softmax is 1 whatever the unit gives, so "
        + "loss and gradient are identically zero",
      fixIt: "use as many units as classes, or sigmoid-cross-entropy")
  }
}

/// Rules about single layers and those next to each other.
extension LintSubject {
  func layerRules() -> [Diagnostic] {
    denseOnImages() + denseAsNormalization() + dropoutBeforeBatchNorm() + frozenParts()
  }

  private func denseOnImages() -> [Diagnostic] {
    layout.layers.compactMap { built in
      guard built.layer is Dense, built.input.rank >= 3 else { return nil }
      return Diagnostic(
        .warning, rule: "dense-without-flatten", place: built.place,
        message: "Dense acts on the last axis only: of an input of \(built.input) it makes "
          + "\(built.output)",
        fixIt: "did you mean Flatten() before it? (Conv2D with kernel 1 says the same on purpose)")
    }
  }

  /// One unit in the middle of a network.
  private func denseAsNormalization() -> [Diagnostic] {
    layout.layers.compactMap { built in
      guard let dense = built.layer as? Dense, dense.units == 1, built.input.extents.last != 1,
        built.path != layout.last?.path, model.outputShape.extents.last != 1
      else { return nil }
      return Diagnostic(
        .warning, rule: "dense-as-normalization", place: built.place,
        message: "one unit inside a network is no normalisation: it makes one number of "
          + "\(built.input.extents.last ?? 0), and all that follows sees only that",
        fixIt: "use BatchNorm(), LayerNorm() or GroupNorm()")
    }
  }

  private func dropoutBeforeBatchNorm() -> [Diagnostic] {
    var found: [Diagnostic] = []
    for chain in layout.chains {
      var dropout: LintLayout.Link?
      for link in chain {
        if let layer = link.layer as? Dropout, layer.rate > 0 {
          dropout = link
        } else if link.layer is BatchNorm, let before = dropout {
          found.append(
            Diagnostic(
              .warning, rule: "dropout-before-batch-norm", place: before.path,
              message: "\(link.path) normalises what \(before.path) thins: the variance it learns "
                + "in training is not the one in use (variance shift)",
              fixIt: "put the dropout after the last batch normalisation"))
          dropout = nil
        } else if !link.isTransparent {
          dropout = nil
        }
      }
    }
    return found
  }

  private func frozenParts() -> [Diagnostic] {
    let parameters = model.parameters
    guard !parameters.isEmpty, parameters.allSatisfy({ !$0.isTrainable }) else { return [] }
    return [
      Diagnostic(
        .warning, rule: "nothing-trains", place: "model",
        message: "all \(parameters.count) parameters are frozen: training changes nothing",
        fixIt: "unfreeze() what is to be trained")
    ]
  }
}

extension BuiltLayer {
  /// The path; of the outermost layer what it is.
  var place: String { path.isEmpty ? layer.kind : path }
}
