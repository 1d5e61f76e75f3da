public import KeelBackend

/// Examples that travel to the device together: plain numbers, safe to hand between threads.
public struct Batch: Sendable, Equatable {
  /// Where the batch stands in the training.
  public let position: BatchPosition
  /// The shape of one example.
  public let exampleShape: Shape
  /// The numbers, example after example, without gaps.
  public let features: Features
  /// The label of each example.
  public let labels: [Int32]
  /// The place of each example in the data set.
  public let places: [Int32]
  /// What the examples were joined with by MixUp or CutMix, if they were.
  public let mix: Mix?

  /// The count of examples.
  public var count: Int { labels.count }

  /// The shape of ``features``: the count of examples, then the shape of one.
  public var shape: Shape { Shape([count] + exampleShape.extents) }
}

/// A step within an epoch, both counted from 0.
public struct BatchPosition: Hashable, Comparable, Sendable, Codable {
  /// The pass over the data.
  public var epoch: Int
  /// The batch within the pass.
  public var step: Int

  /// Names a step of an epoch.
  public init(epoch: Int, step: Int = 0) {
    self.epoch = epoch
    self.step = step
  }

  /// Earlier in training.
  public static func < (left: BatchPosition, right: BatchPosition) -> Bool {
    (left.epoch, left.step) < (right.epoch, right.step)
  }
}
