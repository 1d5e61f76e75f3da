import ArgumentParser
import Keel

/// The options that name a data set.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A folder with MNIST-style IDX files, plain or .gz. Without it: digits that are drawn.",
      valueName: "dir"))
  var data: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use so many training examples.", valueName: "n"))
  var train: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Use so many test examples.", valueName: "n"))
  var test: Int?

  func validate() throws {
    for (name, value) in [("--train", train), ("--test", test)] {
      if let value, value < 1 { throw ValidationError("\(name) must be at least 1, got \(value).") }
    }
  }
}

/// Where the examples of a run come from, as the run records it.
struct DataSource: Hashable {
  /// The folder, or nil for the digits that are drawn.
  var folder: String?
  var train: Int?
  var test: Int?

  /// How many digits are drawn where nothing else is asked for.
  static let drawn = (train: 6000, test: 1000)

  init(_ options: DataOptions) {
    folder = options.data
    train = options.train
    test = options.test
  }

  /// The data of a run, with what the options say put over it.
  init(recorded: [String: String], overriddenBy options: DataOptions) {
    folder = recorded["folder"]
    train = recorded["train"].flatMap { Int($0) }
    test = recorded["test"].flatMap { Int($0) }
    if let other = options.data, other != folder {
      // The numbers of the recorded folder say nothing about another one.
      (folder, train, test) = (other, nil, nil)
    }
    train = options.train ?? train
    test = options.test ?? test
  }

  /// What `run.json` keeps.
  var record: [String: String] {
    var record: [String: String] = [:]
    record["folder"] = folder
    record["train"] = train.map { "\($0)" }
    record["test"] = test.map { "\($0)" }
    return record
  }

  /// Such as `6000 + 1000 drawn digits`.
  var description: String {
    guard let folder else { return "digits drawn from strokes" }
    return folder
  }

  /// Loads both parts.
  func load() throws(DataError) -> (train: Dataset, test: Dataset) {
    guard let folder else {
      return try SyntheticDigits.trainAndTest(
        train: train ?? Self.drawn.train, test: test ?? Self.drawn.test)
    }
    return try MNISTFolder(folder).loadTrainAndTest(train: train, test: test)
  }

  /// Loads the part to test with; all of a folder's test pair where it is not split.
  func loadTest() throws(DataError) -> Dataset {
    guard let folder else {
      return try SyntheticDigits.dataset(.test, count: test ?? Self.drawn.test)
    }
    let files = try MNISTFolder(folder)
    if files.pairs == [.t10k], train == nil, test == nil { return try files.load(.t10k) }
    return try files.loadTrainAndTest(train: train, test: test).test
  }
}
