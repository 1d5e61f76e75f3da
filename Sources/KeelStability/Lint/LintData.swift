import KeelBackend
import KeelData
import KeelNN

/// Rules about batch normalisation and the size of batches.
extension LintSubject {
  func batchNormRules() -> [Diagnostic] {
    let norms = layout.layers.filter { built in
      guard let norm = built.layer as? BatchNorm, case .online = norm.use.mode else { return false }
      return norm.gamma?.isTrainable == true || norm.beta?.isTrainable == true
    }
    guard let first = norms.first else { return [] }
    // One value per channel and example: a batch of one leaves no variance.
    let single = norms.first { $0.input.count == $0.input.extents.last }
    if stability.clip.perExampleLimit != nil {
      return [
        Diagnostic(
          single == nil ? .warning : .error, rule: "per-example-clip-batch-norm",
          place: (single ?? first).place,
          message: "per-example clipping sends examples through the network one by one: "
            + (single == nil
              ? "batch normalisation then normalises each with its own statistics"
              : "batch normalisation has one value per channel then, and no variance"),
          fixIt: "use GroupNorm() or LayerNorm(), or clip the mean gradient")
      ]
    }
    guard let batchSize, batchSize >= 1 else { return [] }
    let fixIt = "use a larger batch, or GroupNorm() or LayerNorm()"
    let smallest = train.map { min(batchSize, max(1, $0.count)) } ?? batchSize
    if let single, smallest == 1 || train.map({ $0.count % batchSize == 1 }) == true {
      let which =
        smallest == 1 ? "a batch of one" : "the last batch of an epoch, which is one example,"
      return [
        Diagnostic(
          .error, rule: "batch-of-one-batch-norm", place: single.place,
          message: "\(which) has one value per channel here, and no variance",
          fixIt: smallest == 1 ? fixIt : "use another batch size, or leave one example out")
      ]
    }
    guard smallest == 1 else { return [] }
    return [
      Diagnostic(
        .warning, rule: "batch-of-one-batch-norm", place: first.place,
        message: "with a batch of one each example is normalised with its own statistics, which "
          + "are not those in use",
        fixIt: fixIt)
    ]
  }
}

/// Rules about the data.
extension LintSubject {
  func dataRules() -> [Diagnostic] {
    var found: [Diagnostic] = []
    for (name, data) in [("training set", train), ("test set", test)] {
      guard let data else { continue }
      found += fitting(data, name)
    }
    return found + overlap() + missingClasses() + flips()
  }

  private func fitting(_ data: Dataset, _ name: String) -> [Diagnostic] {
    guard data.exampleShape == model.inputShape else {
      return [
        Diagnostic(
          .error, rule: "example-shape", place: name,
          message: "the model takes examples of \(model.inputShape), these are "
            + "\(data.exampleShape)",
          fixIt: "build the model with input: dataset.exampleShape")
      ]
    }
    let outputs = model.outputShape.extents.last ?? 1
    switch loss {
    case .softmaxCrossEntropy where outputs > 1:
      return labels(data, name, outputs)
    case .sigmoidCrossEntropy where outputs == 1:
      guard let largest = data.labels.max(), largest > 1 else { return [] }
      let count = data.labels.count { $0 > 1 }
      return [
        Diagnostic(
          .error, rule: "targets-outside-unit-interval", place: name,
          message: "sigmoid-cross-entropy of one output takes targets in 0 ... 1, \(count) of "
            + "\(data.count) labels are above, up to \(largest)",
          fixIt: "use as many outputs as classes")
      ]
    case .sigmoidCrossEntropy, .meanSquaredError, .meanAbsoluteError, .huber:
      return outputs > 1 ? labels(data, name, outputs) : []
    case .softmaxCrossEntropy, nil: return []
    }
  }

  private func labels(_ data: Dataset, _ name: String, _ outputs: Int) -> [Diagnostic] {
    guard let problem = data.labelProblem(outputs: outputs) else { return [] }
    return [
      Diagnostic(
        .error, rule: "labels-out-of-range", place: name, message: problem,
        fixIt: "give the network as many outputs as classes (\(data.classCount))")
    ]
  }

  private func overlap() -> [Diagnostic] {
    guard let train, let test else { return [] }
    do throws(DataLeak) { try test.requireDisjoint(from: train) } catch {
      // A few examples that happen to be equal spoil a test a little, half of them all of it.
      return [
        Diagnostic(
          2 * error.shared.count >= test.count ? .error : .warning, rule: "train-test-overlap",
          place: "test set", message: "\(error)",
          fixIt: "use split(trainFraction:stratified:seed:), and test with the other part")
      ]
    }
    return []
  }

  private func missingClasses() -> [Diagnostic] {
    guard let train else { return [] }
    let tested = test.map { $0.classCounts } ?? []
    let missing = train.missingClasses.filter {
      test == nil || ($0 < tested.count && tested[$0] > 0)
    }
    guard !missing.isEmpty else { return [] }
    let names = missing.map { "\($0)" }.joined(separator: ", ")
    return [
      Diagnostic(
        .warning, rule: "missing-classes", place: "training set",
        message: "it has no example of \(missing.count) of \(train.classCount) classes: \(names)"
          + (test == nil ? "" : ", which the test set has"),
        fixIt: "data that are sorted must be shuffled before they are divided: use "
          + "split(trainFraction:stratified:seed:)")
    ]
  }

  private func flips() -> [Diagnostic] {
    guard let augmentation, train?.kind == .digits else { return [] }
    let flips = augmentation.steps.compactMap { step -> String? in
      guard case .flip(let mirror) = step.change, step.probability > 0 else { return nil }
      return mirror.rawValue
    }
    return flips.map { mirror in
      Diagnostic(
        .warning, rule: "flip-on-digits", place: "augmentation",
        message: "a \(mirror) flip of a digit is not a digit, or another one (2, 5, 6, 9)",
        fixIt: "leave flip=\(mirror) out; shift, rotate and zoom keep what digits show")
    }
  }
}
