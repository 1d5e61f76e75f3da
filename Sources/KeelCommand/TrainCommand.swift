import ArgumentParser
import Glibc
import Keel
import KeelBackend

/// `keel train`: the main job.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains a network on digits and saves it with its history and a plot.",
    discussion: """
      Without options: a convolutional network on 6000 digits that are drawn from strokes. Ctrl-C
      finishes the step, saves, and says how to go on; the result is then the same, to the bit.
      """)

  @OptionGroup var device: DeviceOption
  @OptionGroup var products: ProductPrecisionOption
  @OptionGroup var data: DataOptions
  @OptionGroup var network: NetworkOptions
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var firstValues: InitializationOptions
  @OptionGroup var descent: OptimizerOptions
  @OptionGroup var changes: AugmentationOptions
  @OptionGroup var shadow: ShadowOption
  @OptionGroup var stability: StabilityOptions
  @OptionGroup var lint: LintOptions
  @OptionGroup var techniques: TechniqueOptions

  @Option(parsing: .unconditional, help: "Passes over the training examples.")
  var epochs = 5

  @Option(parsing: .unconditional, help: "Examples per step.")
  var batch = 64

  @Option(parsing: .unconditional, help: "Batches whose mean gradient makes one step.")
  var accumulate = 1

  @Option(
    parsing: .unconditional,
    help: "Selects initial weights, the order of examples, their changes and dropout masks."
  )
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "The folder of the run; by default the first free of runs/1, runs/2, …", valueName: "dir"))
  var out: String?

  @Option(help: ArgumentHelp("Goes on with the run in this folder.", valueName: "dir"))
  var resume: String?

  @Option(
    help: ArgumentHelp(
      "Also writes event files for TensorBoard into this folder.", valueName: "dir"))
  var tensorboard: String?

  @Option(
    parsing: .unconditional,
    help: "How many of the last steps flight.json in the folder of the run holds; 0 writes none.")
  var flightSteps = 64

  @Flag(help: "A short run on few examples, to see that everything works.")
  var quick = false

  @Flag(help: "Prints time and bytes per operation at the end; the run itself is slower.")
  var profile = false

  @Flag(help: "Prints the device memory that a step takes, by what it holds, and does not train.")
  var plan = false

  func validate() throws {
    for (name, value) in [("--epochs", epochs), ("--batch", batch), ("--accumulate", accumulate)]
    where value < 1 {
      throw ValidationError("\(name) must be at least 1, got \(value).")
    }
    if !(0...4096).contains(flightSteps) {
      throw ValidationError("--flight-steps must be from 0 to 4096, got \(flightSteps).")
    }
    if tensorboard == "" { throw ValidationError("--tensorboard needs the name of a folder.") }
    if out == "" || resume == "" { throw ValidationError("The folder of a run needs a name.") }
    if resume != nil, out != nil {
      throw ValidationError("--resume goes on in its own folder; leave out --out.")
    }
    try firstValues.validate(with: network, descent, stability)
    if resume != nil, let option = ResumeOptions.firstForeign(in: CommandLine.arguments) {
      throw ValidationError(
        "--resume goes on with the options that the run began with; leave out \(option).")
    }
  }

  func run() throws {
    let job = try resume.map { try TrainingJob(resuming: $0, self) } ?? TrainingJob(self)
    print(job.trainer.model.summary())
    if plan { return print(try memoryTable(job)) }
    defer { shadow.printReport(of: job.trainer.model.device) }
    job.trainer.lintPolicy = lint.policy
    let stop = Interrupt.catching()
    var callbacks: [any Callback] = [WarningPrinter(), ProgressBar()]
    let board = try tensorboard.map { try EventFolder($0) }
    if let board { callbacks.append(board.writer) }
    let result: FitResult
    do {
      result = try tellingOfFaults(in: job.folder.path) { try fit(job, stop, callbacks) }
    } catch {
      if job.trainer.history.steps.isEmpty { board?.discard() }
      throw error
    }
    job.profiler.map { print("\n" + profileTable($0)) }
    guard result.isComplete else {
      print("\(result.summary)\nGo on with: keel train --resume \(job.folder.path)")
      throw ExitStatus(code: 130)
    }
    if let last = result.history.epochs.last, let accuracy = last.validationAccuracy,
      let loss = last.validationLoss
    {
      print(
        "test accuracy \((100 * accuracy).fixed(2)) %, loss \(loss.fixed(4)) "
          + "on \(job.test.count) examples")
    }
    print("saved in \(job.folder.path): run.json, checkpoint.safetensors, history, report.html")
  }

  private func fit(
    _ job: TrainingJob, _ stop: StopRequest, _ callbacks: [any Callback]
  ) throws -> FitResult {
    var folder = job.folder
    folder.flightSteps = flightSteps
    return try job.trainer.fit(
      job.train, epochs: job.epochs, batchSize: job.batch, validation: .data(job.test),
      gradientAccumulation: job.accumulate, augmentation: job.augmentation, seed: job.seed,
      output: folder, stop: stop, callbacks: callbacks)
  }

  /// Says where to read on when the numbers of a training went wrong.
  private func tellingOfFaults(
    in path: String, _ body: () throws -> FitResult
  ) throws -> FitResult {
    do { return try body() } catch let error as TrainingError {
      if case .nonFinite = error { print("The last steps and their faults: keel report \(path)") }
      throw error
    }
  }

  private func memoryTable(_ job: TrainingJob) throws -> String {
    let plan = try job.trainer.memoryPlan(job.train, batchSize: job.batch)
    let batch = min(job.batch, job.train.count)
    var table = TextTable("memory of a step, batch \(batch)", ">MB")
    for (name, bytes) in [
      ("parameters", plan.parameters), ("gradients", plan.gradients),
      ("optimizer", plan.optimizer), ("running statistics", plan.statistics),
      ("batch", plan.batch), ("activations and scratch, at most", plan.activations),
      ("other tables", plan.other), ("in all, at most", plan.peak),
    ] { table.add(name, (Double(bytes) * 1e-6).fixed(2)) }
    return table.render()
  }

  private func profileTable(_ profiler: ProfilingBackend) -> String {
    let rows = profiler.table
    let total = rows.map(\.seconds).reduce(0, +)
    var table = TextTable("operation", "method", ">calls", ">ms", ">%", ">ms/call", ">GB/s")
    for row in rows {
      table.add(
        row.operation, row.method, row.calls.grouped, (1e3 * row.seconds).fixed(1),
        (100 * row.seconds / max(total, 1e-12)).fixed(1),
        (1e3 * row.seconds / Double(max(row.calls, 1))).fixed(3),
        row.gigabytesPerSecond.fixed(1))
    }
    return table.render()
  }
}

/// The options that may stand beside `--resume`: those that change nothing of the training itself.
enum ResumeOptions {
  private static let own = [
    "--resume", "--out", "--device", "--data", "--train", "--test", "--tensorboard",
    "--flight-steps", "--profile", "--shadow", "--shadow-reroute", "--no-lint", "--strict",
    "--json",
  ]

  /// The first option that is not one of them, as it was written.
  static func firstForeign(in arguments: [String]) -> String? {
    arguments.lazy.filter { $0.hasPrefix("--") && $0 != "--" }
      .map { String($0.prefix { $0 != "=" }) }
      .first { !own.contains($0) }
  }
}

/// The event file of a training in a folder, which goes again if the training never begins.
private struct EventFolder {
  let writer: TensorBoardWriter
  private let folder: String
  private let isNew: Bool

  init(_ folder: String) throws {
    self.folder = folder
    isNew = access(folder, F_OK) != 0
    writer = try TensorBoardWriter(folder: folder)
  }

  func discard() {
    unlink(writer.path)
    if isNew { rmdir(folder) }
  }
}

/// Ctrl-C as a wish to stop after the step; a second one ends the program at once.
enum Interrupt {
  private static let request = StopRequest()

  static func catching() -> StopRequest {
    // A parent's worker thread may have handed its blocked signals down.
    var interrupt = sigset_t()
    sigemptyset(&interrupt)
    sigaddset(&interrupt, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &interrupt, nil)
    signal(SIGINT) { _ in
      Interrupt.request.request()
      signal(SIGINT, SIG_DFL)
    }
    return request
  }
}
