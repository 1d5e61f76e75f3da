public import KeelStability

/// Code that watches a training, and may end it.
///
/// Every method has a default that does nothing.
public protocol Callback: AnyObject {
  /// Something about the training may not be what was meant; it is about to begin all the same.
  func warned(_ warnings: [Diagnostic])

  /// The training is about to begin, or to go on.
  func trainingBegan(_ plan: FitPlan)

  /// An update was given to the device. Reading its values waits for the device: do it rarely.
  ///
  /// - Throws: what ``StepEvent/values()`` throws.
  func stepEnded(_ step: StepEvent) throws(TrainingError)

  /// Steps were read, which happens a few times a second: each step once and in order, those of a
  /// training that went back again.
  ///
  /// - Throws: what ends the training, such as a disk that is full.
  func stepsRead(_ steps: ArraySlice<StepRecord>) throws(TrainingError)

  /// Whether the magnitudes of gradients are counted at the last step of each epoch.
  var wantsHistograms: Bool { get }

  /// The gradients of a step were counted, for each parameter.
  ///
  /// - Throws: what ends the training.
  func histogramsRead(
    _ histograms: [GradientHistogram], step: UInt64
  ) throws(TrainingError)

  /// Values were read, which happens a few times a second.
  func progressed(_ progress: TrainingProgress)

  /// A pass over the data is complete.
  ///
  /// - Throws: what ends the training.
  func epochEnded(_ epoch: EpochRecord) throws(TrainingError)

  /// The training is over, complete or stopped.
  func trainingEnded(_ result: FitResult)

  /// Whether the training is to stop after this step.
  var wantsStop: Bool { get }
}

extension Callback {
  /// Does nothing.
  public func warned(_ warnings: [Diagnostic]) {}
  /// Does nothing.
  public func trainingBegan(_ plan: FitPlan) {}
  /// Does nothing.
  public func stepEnded(_ step: StepEvent) throws(TrainingError) {}
  /// Does nothing.
  public func progressed(_ progress: TrainingProgress) {}
  /// Does nothing.
  public func epochEnded(_ epoch: EpochRecord) throws(TrainingError) {}
  /// Does nothing.
  public func stepsRead(_ steps: ArraySlice<StepRecord>) throws(TrainingError) {}
  /// False.
  public var wantsHistograms: Bool { false }
  /// Does nothing.
  public func histogramsRead(
    _ histograms: [GradientHistogram], step: UInt64
  ) throws(TrainingError) {}
  /// Does nothing.
  public func trainingEnded(_ result: FitResult) {}
  /// False.
  public var wantsStop: Bool { false }
}

/// An update that was given to the device.
public struct StepEvent {
  /// The number of the update, from 1.
  public let step: UInt64
  /// The epoch, from 1.
  public let epoch: Int
  let read: () throws(TrainingError) -> StepRecord

  /// Its loss, accuracy and norm. Waits for the device.
  ///
  /// - Throws: ``TrainingError/nonFinite(_:)`` when they are not finite, or a device error.
  public func values() throws(TrainingError) -> StepRecord { try read() }
}

/// How far a training is, and how it goes.
public struct TrainingProgress: Sendable {
  /// The epoch, from 1.
  public let epoch: Int
  /// The last epoch, from 1.
  public let lastEpoch: Int
  /// Batches done in this epoch.
  public let batch: Int
  /// Batches in an epoch.
  public let batchesPerEpoch: Int
  /// The mean loss over the epoch's examples so far.
  public let loss: Double
  /// The part of them that was right, if counted.
  public let accuracy: Double?
  /// The norm of all gradients at the last step, before clipping.
  public let gradientNorm: Double
  /// Examples per second since the training began or went on.
  public let examplesPerSecond: Double
  /// Seconds until the last epoch ends, at this speed.
  public let secondsLeft: Double

  package init(
    epoch: Int, lastEpoch: Int, batch: Int, batchesPerEpoch: Int, loss: Double, accuracy: Double?,
    gradientNorm: Double, examplesPerSecond: Double, secondsLeft: Double
  ) {
    self.epoch = epoch
    self.lastEpoch = lastEpoch
    self.batch = batch
    self.batchesPerEpoch = batchesPerEpoch
    self.loss = loss
    self.accuracy = accuracy
    self.gradientNorm = gradientNorm
    self.examplesPerSecond = examplesPerSecond
    self.secondsLeft = secondsLeft
  }
}
