import Glibc
import KeelBackend
import KeelData
public import KeelStability

/// Writes what a training goes through as event files that TensorBoard reads.
///
/// ```swift
/// let board = try TensorBoardWriter(folder: "board")
/// try trainer.fit(train, epochs: 10, callbacks: [board])
/// ```
///
/// For each step, from the values that training reads anyway: `train/loss`, `train/accuracy`,
/// `gradient/norm`, `gradient/norm after clipping`, `gradient/largest`, `step/learning rate` and
/// `step/left out` (1 where nothing changed). For each epoch, at the number of its last step:
/// `epoch/…` with the means, validation and the part of steps that were clipped, and for each
/// parameter a histogram of log2 |g| of its gradient's elements, in bins of 16 powers of two.
public final class TensorBoardWriter: Callback {
  /// The file.
  public let path: String
  private let file: RecordFile
  private var failure: TrainingError?

  /// Makes a new event file in a folder, which is made if there is none. Files of other runs beside
  /// it stay: TensorBoard shows them together.
  ///
  /// - Throws: ``TrainingError`` when the folder or the file cannot be made.
  public init(folder: String) throws(TrainingError) {
    try trainingData { () throws(DataError) in try DataFile.makeFolder(folder) }
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    // A second training of the same process in the same second gets a name of its own.
    let stem = "\(folder)/events.out.tfevents.\(Int(TensorBoardEvent.now)).\(host).\(getpid())"
    var number = 0
    while DataFile.exists("\(stem).\(number).keel") { number += 1 }
    path = "\(stem).\(number).keel"
    file = try RecordFile(path)
    try file.append([TensorBoardEvent.version])
  }

  /// True.
  public var wantsHistograms: Bool { true }

  /// Writes the steps.
  public func stepsRead(_ steps: ArraySlice<StepRecord>) throws(TrainingError) {
    try file.append(
      steps.map { step in
        var event = TensorBoardEvent(step: Int64(clamping: step.step))
        event.add("train/loss", step.loss)
        if let accuracy = step.accuracy { event.add("train/accuracy", accuracy) }
        event.add("gradient/norm", step.gradientNorm)
        event.add("gradient/norm after clipping", step.clippedNorm)
        event.add("gradient/largest", step.largestGradient)
        event.add("step/learning rate", step.learningRate)
        event.add("step/left out", step.outcome.changesParameters ? 0 : 1)
        return event.bytes
      })
  }

  /// Writes the histograms.
  public func histogramsRead(
    _ histograms: [GradientHistogram], step: UInt64
  ) throws(TrainingError) {
    var event = TensorBoardEvent(step: Int64(clamping: step))
    for histogram in histograms {
      event.add("gradient log2/\(histogram.parameter)", histogram)
    }
    try file.append([event.bytes])
  }

  /// Writes the epoch.
  public func epochEnded(_ epoch: EpochRecord) throws(TrainingError) {
    var event = TensorBoardEvent(step: Int64(clamping: epoch.step))
    event.add("epoch/loss", Float(epoch.loss))
    if let accuracy = epoch.accuracy { event.add("epoch/accuracy", Float(accuracy)) }
    if let loss = epoch.validationLoss { event.add("epoch/validation loss", Float(loss)) }
    if let accuracy = epoch.validationAccuracy {
      event.add("epoch/validation accuracy", Float(accuracy))
    }
    event.add("epoch/clipped part", Float(epoch.clippedFraction))
    try file.append([event.bytes])
  }
}
