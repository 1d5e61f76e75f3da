import Glibc
public import KeelAutograd
import KeelBackend
public import KeelData
import KeelNN
import KeelStability

extension Trainer {
  /// The loss and accuracy on data, with dropout off and running statistics in use.
  ///
  /// - Throws: ``TrainingError`` when the data do not fit the model, or the device fails.
  public func evaluate(
    _ data: Dataset, batchSize: Int = 256
  ) throws(TrainingError) -> Evaluation {
    try requireFitting(data)
    try requirePositive("batch size", batchSize)
    var (sum, right) = (0.0, 0)
    let row = [Int](repeating: 0, count: data.classCount)
    var confusion = [[Int]](repeating: row, count: data.classCount)
    try forEachOutput(data, batchSize, withLoss: true) { (batch, outputs, loss) in
      sum += Double(loss) * Double(batch.count)
      let columns = outputs.count / batch.count
      for (place, label) in batch.labels.enumerated() {
        let found = predictedClass(outputs[(place * columns)..<((place + 1) * columns)])
        if found == Int(label) { right += 1 }
        if found < data.classCount { confusion[Int(label)][found] += 1 }
      }
    }
    return Evaluation(
      loss: sum / Double(data.count),
      accuracy: metrics.contains(.accuracy) ? Double(right) / Double(data.count) : nil,
      count: data.count, confusion: confusion)
  }

  /// What the model says of each example.
  ///
  /// - Throws: as ``evaluate(_:batchSize:)``.
  public func predict(
    _ data: Dataset, batchSize: Int = 256
  ) throws(TrainingError) -> [Prediction] {
    try requireFitting(data)
    try requirePositive("batch size", batchSize)
    var predictions: [Prediction] = []
    try forEachOutput(data, batchSize, withLoss: false) { (batch, outputs, _) in
      predictions += self.predictions(outputs, count: batch.count)
    }
    return predictions
  }

  /// What the model says of examples that stand side by side.
  ///
  /// - Throws: ``TrainingError/tensor(_:)`` unless there are whole examples of the model's shape.
  public func predict(_ features: Features) throws(TrainingError) -> [Prediction] {
    let model = model
    let width = model.inputShape.count
    guard width > 0, features.count > 0, features.count % width == 0 else {
      throw .option(
        name: "predict", requirement: "whole examples of \(model.inputShape)",
        got: "\(features.count) numbers")
    }
    let count = features.count / width
    let outputs = try training { () throws(TensorError) in
      let shape = Shape([count] + model.inputShape.extents)
      return try model(inputTensor(features, shape: shape, on: model.device)).scalars()
    }
    return predictions(outputs, count: count)
  }

  /// The model's outputs for a batch of inputs: logits, where the loss takes logits.
  ///
  /// - Throws: ``TrainingError/tensor(_:)``.
  public func predict(_ inputs: Tensor) throws(TrainingError) -> Tensor {
    let model = model
    return try training { () throws(TensorError) in try model(inputs) }
  }

  /// Outputs and loss of each batch in the order of the data. One batch is read while the next
  /// one is computed.
  private func forEachOutput(
    _ data: Dataset, _ batchSize: Int, withLoss: Bool,
    _ body: (Batch, _ outputs: [Float], _ loss: Float) -> Void
  ) throws(TrainingError) {
    let loader = try trainingData { () throws(DataError) in
      try BatchLoader(data, batchSize: batchSize)
    }
    let (model, loss) = (model, loss)
    var pending: (batch: Batch, output: Tensor, loss: Tensor?)?
    func read() throws(TensorError) {
      guard let last = pending else { return }
      body(last.batch, try last.output.scalars(), try last.loss?.item() ?? 0)
    }
    try training { () throws(TensorError) in
      for batch in loader.batches(epoch: 0) {
        let (inputs, labels) = try upload(batch, to: model.device)
        let output = try model(inputs)
        let value: Tensor? = withLoss ? try loss(output, labels) : nil
        try read()
        pending = (batch, output, value)
      }
      try read()
    }
  }

  private func predictions(_ outputs: [Float], count: Int) -> [Prediction] {
    let columns = outputs.count / max(count, 1)
    return (0..<count).map { place in
      let row = outputs[(place * columns)..<((place + 1) * columns)]
      return Prediction(label: predictedClass(row), probabilities: probabilities(row))
    }
  }

  private func probabilities(_ row: ArraySlice<Float>) -> [Float] {
    switch loss {
    case .softmaxCrossEntropy:
      let largest = Double(row.max() ?? 0)
      let powers = row.map { exp(Double($0) - largest) }
      let sum = powers.reduce(0, +)
      return powers.map { Float($0 / sum) }
    case .sigmoidCrossEntropy: return row.map { Float(1 / (1 + exp(-Double($0)))) }
    case .meanSquaredError, .meanAbsoluteError, .huber: return Array(row)
    }
  }
}

/// The class of the largest output, the first of equals; with one output 1 where it is above 0.
private func predictedClass(_ row: ArraySlice<Float>) -> Int {
  guard row.count > 1, var best = row.indices.first else { return (row.first ?? 0) > 0 ? 1 : 0 }
  for i in row.indices where row[i] > row[best] { best = i }
  return best - row.startIndex
}
