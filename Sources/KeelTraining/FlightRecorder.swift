import KeelBackend
import KeelNN
import KeelStability
import Logging

/// Keeps the last steps of a training in memory and, again and again, in a file.
///
/// The file is replaced as a whole, at most once a second and at every fault, epoch and end; it is
/// whole at any moment, so also after the process was killed. A disk that cannot be written does
/// not end the training: recording ends, with a warning.
final class FlightRecorder {
  private static let interval = Duration.seconds(1)
  private static let mostFaults = 64
  private let folder: RunFolder
  private let trainer: Trainer
  private let plan: FitPlan
  private let parameters: [String]
  private let began = ContinuousClock.now
  private var ring: [FlightRecord.Step] = []
  /// Where the oldest step is, once the ring is full.
  private var oldest = 0
  private var lastWrite = ContinuousClock.now
  private var hasFailed = false

  init(_ trainer: Trainer, _ plan: FitPlan, _ folder: RunFolder) {
    self.folder = folder
    self.trainer = trainer
    self.plan = plan
    parameters = trainer.model.parameters.map(\.name)
    ring.reserveCapacity(folder.flightSteps)
  }

  /// Adds a step that was read.
  func add(_ entry: StepLog.Entry, _ outcome: StepOutcome) {
    let step = FlightRecord.Step(entry, outcome, plan)
    if ring.count < folder.flightSteps {
      ring.append(step)
    } else {
      ring[oldest] = step
      oldest = (oldest + 1) % ring.count
    }
  }

  /// Writes the file unless that was done a moment ago.
  func writeIfDue() {
    if lastWrite.duration(to: .now) >= FlightRecorder.interval { write() }
  }

  /// Writes the file.
  func write(_ state: FlightRecord.State = .running) {
    guard !hasFailed else { return }
    do {
      try folder.write(record(state), to: folder.flightPath, isDurable: false)
    } catch {
      hasFailed = true
      Logger(label: "keel.training").warning("the last steps are no longer recorded: \(error)")
    }
    lastWrite = .now
  }

  private func record(_ state: FlightRecord.State) -> FlightRecord {
    var faults = trainer.history.faults
    if faults.count > FlightRecorder.mostFaults {
      // The first ones are those whose cause was looked for.
      faults = Array(faults.prefix(8) + faults.suffix(FlightRecorder.mostFaults - 8))
    }
    return FlightRecord(
      state: state, seconds: began.duration(to: .now).seconds,
      run: RunDescription(trainer, plan, data: folder.data),
      seeds: FlightRecord.Seeds(model: trainer.model.seed, order: plan.seed),
      parameters: parameters, steps: Array(ring[oldest...] + ring[..<oldest]), faults: faults)
  }
}
