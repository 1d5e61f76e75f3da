import KeelBackend
public import KeelData
public import KeelStability

/// Where the examples come from that training does not see.
public enum Validation: Sendable {
  /// Nowhere: nothing is validated.
  case none
  /// A part of the training data, such as 0.1, chosen by the seed and set aside.
  case split(Double)
  /// Data of their own.
  case data(Dataset)
}

/// What a call of `fit` is to do.
public struct FitPlan: Hashable, Sendable, Codable {
  /// The first epoch, from 1; more than 1 after an earlier `fit`.
  public var firstEpoch: Int
  /// The last epoch, from 1.
  public var lastEpoch: Int
  /// Examples per batch.
  public var batchSize: Int
  /// Batches per update.
  public var gradientAccumulation: Int
  /// The seed of the order of examples and of the validation split.
  public var seed: UInt64
  /// How many examples there are to train on.
  public var examples: Int
  /// How many examples there are to validate on.
  public var validationExamples: Int
  /// The random changes of training examples, if there are any.
  public var augmentation: Augmentation?

  /// Batches in an epoch.
  public var batchesPerEpoch: Int { (examples + batchSize - 1) / batchSize }
  /// Updates in an epoch.
  public var stepsPerEpoch: Int {
    (batchesPerEpoch + gradientAccumulation - 1) / gradientAccumulation
  }

  private var augmentationText: String { augmentation?.description ?? "none" }

  /// Examples in batch `number` of an epoch, from 0.
  func count(ofBatch number: Int) -> Int {
    min(batchSize, examples - number * batchSize)
  }

  /// The number that selects the dropout masks of a batch: the same in a resumed run.
  func pass(of place: BatchPosition) -> UInt64 {
    UInt64(place.epoch) &* UInt64(batchesPerEpoch) &+ UInt64(place.step)
  }

  /// What makes another plan no continuation of this one, or nil.
  func difference(to other: FitPlan) -> String? {
    func differs<Value: Equatable>(_ name: String, _ path: KeyPath<FitPlan, Value>) -> String? {
      self[keyPath: path] == other[keyPath: path]
        ? nil : "\(name) \(self[keyPath: path]), now \(other[keyPath: path])"
    }
    let parts = [
      differs("batch size", \.batchSize), differs("accumulation", \.gradientAccumulation),
      differs("seed", \.seed), differs("training examples", \.examples),
      differs("augmentation", \.augmentationText),
    ].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }
}

/// How a call of `fit` ended.
public struct FitResult: Sendable {
  /// What the training went through, earlier calls included.
  public let history: History
  /// Whether all epochs were done.
  public let isComplete: Bool
  /// The epoch at which it stopped, from 1, and the batches done in it, unless complete.
  public let stoppedAt: BatchPosition?
  /// The folder that holds the run, if there is one.
  public let folder: String?
  /// How many of its steps the device repeated from a record.
  public let capture: CaptureSummary

  /// One sentence for people.
  public var summary: String {
    guard let stoppedAt else {
      let epoch = history.epochs.last
      return "trained \(epoch?.epoch ?? 0) epochs in \(epoch?.step ?? 0) steps"
    }
    let place = "stopped in epoch \(stoppedAt.epoch) after \(stoppedAt.step) batches"
    guard let folder else { return place + "; nothing was saved" }
    return place + "; saved in \(folder), resume from there"
  }
}

/// How well a model does on data.
public struct Evaluation: Sendable, Hashable {
  /// The mean loss.
  public let loss: Double
  /// The part of examples that was right, if counted.
  public let accuracy: Double?
  /// How many examples there were.
  public let count: Int
  /// How many examples of class `row` were taken for class `column`.
  public let confusion: [[Int]]
}

/// What a model says of one example.
public struct Prediction: Sendable, Hashable {
  /// The class of the largest output.
  public let label: Int
  /// The outputs as probabilities, as far as the loss gives them that meaning.
  public let probabilities: [Float]
}

extension Evaluation: CustomStringConvertible {
  /// Such as `loss 0.0912, accuracy 97.25 % of 2000`.
  public var description: String {
    guard let accuracy else { return "loss \(loss.fixed(4)) of \(count)" }
    return "loss \(loss.fixed(4)), accuracy \((100 * accuracy).fixed(2)) % of \(count)"
  }
}
