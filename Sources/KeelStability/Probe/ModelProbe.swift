public import KeelAutograd
public import KeelBackend
public import KeelData
public import KeelNN

extension Model {
  /// A dry run over a few batches, which changes nothing: how values and gradients fare from layer
  /// to layer, how strongly the loss is curved, and which learning rate and clip threshold follow.
  ///
  /// ```swift
  /// let report = try model.probe(data, loss: .softmaxCrossEntropy())
  /// print(report)
  /// let rate = report.curvature?.safeLearningRate
  /// ```
  ///
  /// Layers compute as in training: dropout drops, batch normalisation uses the batch. Afterwards
  /// parameters, gradients and states are as before, bit for bit. The curvature costs most:
  /// two backward passes over all batches for each of up to
  /// ``ProbeOptions/curvatureIterations`` products.
  ///
  /// - Parameters:
  ///   - data: the first batches of its order under the model's seed are looked at.
  ///   - loss: what training will make small.
  /// - Throws: ``TensorError`` for options below 1, or data that do not fit the model or the loss.
  ///   Numbers that are not finite are reported, not thrown.
  public func probe(
    _ data: Dataset, loss: Loss, options: ProbeOptions = ProbeOptions()
  ) throws(TensorError) -> ProbeReport {
    guard options.batches >= 1, options.batchSize >= 1 else {
      throw .shape(
        ShapeError(
          "probe", requires: "at least one batch of at least one example",
          gotText: "\(options.batches) of \(options.batchSize)"))
    }
    let loader: BatchLoader
    do throws(DataError) {
      loader = try BatchLoader(
        data, batchSize: min(options.batchSize, data.count), shuffleSeed: seed)
    } catch {
      throw .shape(ShapeError("probe", requires: "data that make batches", gotText: "\(error)"))
    }
    var batches: [(inputs: Tensor, targets: Tensor)] = []
    for step in 0..<min(options.batches, loader.stepsPerEpoch) {
      let batch = loader.batch(at: BatchPosition(epoch: 0, step: step))
      let inputs =
        switch batch.features {
        case .floats(let values): try Tensor(values, shape: batch.shape, on: device)
        case .bytes(let values):
          try pointwise(
            .x * .constant(1 / 255), [try Tensor(values, shape: batch.shape, on: device)])
        }
      batches.append((inputs, try Tensor(batch.labels, shape: [batch.count], on: device)))
    }
    return try probe(batches, loss: loss, options: options)
  }

  /// The same over batches of tensors, such as targets that are no labels.
  ///
  /// - Throws: as the other form, and where there is no batch.
  public func probe(
    _ batches: [(inputs: Tensor, targets: Tensor)], loss: Loss,
    options: ProbeOptions = ProbeOptions()
  ) throws(TensorError) -> ProbeReport {
    guard !batches.isEmpty, options.curvatureIterations >= 0 else {
      throw .shape(
        ShapeError(
          "probe", requires: "at least one batch and no negative count of products",
          gotText: "\(batches.count) and \(options.curvatureIterations)"))
    }
    try loss.validate()
    return try changingNothing { (weights) throws(TensorError) in
      try report(batches, loss, options, weights: weights)
    }
  }

  private func report(
    _ batches: [(inputs: Tensor, targets: Tensor)], _ loss: Loss, _ options: ProbeOptions,
    weights: [Float]
  ) throws(TensorError) -> ProbeReport {
    var report = ProbeReport()
    let gradients = try ProbeGradients(self, batches, loss)
    let meter = ProbeMeter(self)
    var (sum, isFinite) = (0.0, true)
    for (number, batch) in batches.enumerated() {
      let (value, gradient) = try gradients.batch(number, watchedBy: meter)
      let norm = euclideanNorm(gradient)
      let count = batch.inputs.shape.extents.first ?? 1
      report.examples += count
      sum += Double(value) * Double(count)
      isFinite = isFinite && value.isFinite && norm.isFinite
      report.gradients.batches.append(norm.isFinite ? norm : nil)
    }
    report.batches = batches.count
    let mean = sum / Double(max(report.examples, 1))
    report.loss = mean.isFinite ? mean : nil
    report.gradients.summarize()
    (report.layers, report.network) = (meter.layers, meter.network)
    report.judge()
    if options.curvatureIterations > 0 {
      let curvature = ProbeCurvature(
        self, gradients, weights: weights, iterations: options.curvatureIterations)
      report.curvature = try curvature.measure(isFinite: isFinite)
    }
    if options.checksWidth { report.width = try width(batches[0], loss) }
    return report
  }

  /// Runs a body that may move parameters and states, and puts them back, to the bit.
  private func changingNothing(
    _ body: (_ weights: [Float]) throws(TensorError) -> ProbeReport
  ) throws(TensorError) -> ProbeReport {
    let backend = device.backend
    let (weights, states) = try onDevice { () throws(DeviceError) -> ([Float], [Float]) in
      (try backend.scalars(arena.parameters), try backend.scalars(arena.states))
    }
    let outcome = Result { () throws(TensorError) in try body(weights) }
    try onDevice { () throws(DeviceError) in
      try backend.upload(weights, to: arena.parameters)
      try backend.upload(states, to: arena.states)
    }
    return try outcome.get()
  }

  /// The coordinate check for multilayer perceptrons of half and twice the width. A model whose
  /// learning rates are scaled layer by layer is of a parametrisation that it cannot make again.
  private func width(
    _ batch: (inputs: Tensor, targets: Tensor), _ loss: Loss
  ) throws(TensorError) -> ProbeReport.Width? {
    guard case .mlp(let hidden, let classes, let activation, let dropout) = recipe,
      let first = hidden.first, first >= 2, first <= 4096,
      parameters.allSatisfy({ $0.learningRateScale == 1 })
    else { return nil }
    let check = try CoordinateCheck(
      widths: [first / 2, first, 2 * first], steps: 4, optimizer: .adam(learningRate: 0.01),
      loss: loss, on: batch.inputs, batch.targets
    ) { (width) throws(TensorError) in
      let scaled = hidden.map {
        max(1, Int((Double($0) * Double(width) / Double(first)).rounded()))
      }
      let copy = try Model(
        ModelRecipe.mlp(
          hidden: scaled, classes: classes, activation: activation, dropout: dropout),
        input: inputShape, device: device, seed: seed, precision: precision)
      if let initializer { try copy.initialize(initializer) }
      return copy
    }
    // Layers that only pass on what they get say nothing of their own.
    let chosen = check.layers.indices.filter { check.layers[$0].hasPrefix("dense") }
    let slopes = chosen.map { check.slope(of: $0) }
    return ProbeReport.Width(
      widths: check.widths, layers: chosen.map { check.layers[$0] },
      slopes: slopes.map { $0.isFinite ? $0 : nil },
      worst: slopes.indices.filter { slopes[$0].isFinite }.max { abs(slopes[$0]) < abs(slopes[$1]) }
    )
  }
}

extension ProbeReport.GradientNorms {
  /// Draws the percentiles from the norms of the batches.
  mutating func summarize() {
    let sorted = batches.compactMap { $0 }.sorted()
    func percentile(_ part: Double) -> Double? {
      guard let last = sorted.indices.last else { return nil }
      let place = part * Double(last)
      let low = Int(place)
      let high = min(low + 1, last)
      return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
    }
    (median, suggestedClip, largest) = (percentile(0.5), percentile(0.9), sorted.last)
  }
}
