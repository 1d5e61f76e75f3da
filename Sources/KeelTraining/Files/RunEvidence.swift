import KeelBackend
import KeelData
import KeelStability

/// All that the files of a run tell, however it ended: also of one that was killed, or that failed
/// before it saved anything.
public struct RunEvidence: Sendable {
  /// The folder.
  public let path: String
  /// What the run is, if a file says so.
  public private(set) var description: RunDescription?
  /// What it went through: the saved history, and the last steps of the flight record.
  public private(set) var history = History()
  /// The last steps and how the run ended.
  public private(set) var flight: FlightRecord?
  /// A sentence for each file that cannot be used.
  public private(set) var problems: [String] = []

  /// Reads what there is in a folder.
  ///
  /// - Throws: ``TrainingError/folder(path:problem:)`` when it holds nothing of a run.
  public init(of path: String) throws(TrainingError) {
    self.path = path
    let folder = RunFolder(unchecked: path)
    let files = [folder.descriptionPath, folder.stepsPath, folder.flightPath]
    guard files.contains(where: { DataFile.exists($0) }) else {
      throw .folder(
        path: path, problem: "holds no run: there is no run.json and no flight.json in it")
    }
    description = read(folder.descriptionPath) { () throws(TrainingError) in
      try folder.description()
    }
    history =
      read(folder.stepsPath) { () throws(TrainingError) in try folder.history() } ?? History()
    flight = read(folder.flightPath) { () throws(TrainingError) in try folder.flight() }
    if let flight { join(flight) }
  }

  /// How the run ended, for people.
  public var ending: String {
    switch flight?.state {
    case .complete: "complete"
    case .stopped: "stopped; it can go on"
    case .failed(let sentence): sentence
    case .running: "still running when its flight record was written, or killed"
    case nil: description?.progress.isComplete == true ? "complete" : "not complete"
    }
  }

  private mutating func read<Value>(
    _ path: String, _ body: () throws(TrainingError) -> Value
  ) -> Value? {
    guard DataFile.exists(path) else { return nil }
    do { return try body() } catch {
      problems.append("\(error)")
      return nil
    }
  }

  /// Adds the steps that came after the last save.
  private mutating func join(_ flight: FlightRecord) {
    if description == nil || flight.run.progress.steps >= description?.progress.steps ?? 0 {
      description = flight.run
    }
    let saved = history.steps.last?.step ?? 0
    var later: [FlightRecord.Step] = []
    for step in flight.steps where step.step > saved {
      if case .rewound = step.outcome { continue }
      // Steps that were taken again after going back replace the earlier ones.
      while let last = later.last, last.step >= step.step { later.removeLast() }
      later.append(step)
    }
    for step in later {
      history.steps.append(step.record)
      guard step.norms.count == flight.parameters.count else { continue }
      history.gradients.add(step: step.step, norms: step.norms, of: flight.parameters)
    }
    if flight.faults.count > history.faults.count { history.faults = flight.faults }
  }
}
