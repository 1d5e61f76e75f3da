package import KeelBackend
package import KeelData
package import KeelTraining

/// An article's scenario, run on real or drawn digits, and what the numbers say of its claim.
package protocol Study: Sendable {
  /// The name on the command line.
  var name: String { get }
  /// The title of its page.
  var title: String { get }
  /// What the article proposes, in our words.
  var article: String { get }
  /// The claim that is put to the test.
  var claim: String { get }

  /// How many examples it is run on, unless somebody wants others.
  func examples(_ scale: StudyScale) -> (train: Int, test: Int)

  /// Does everything. Two runs with equal settings on one device give equal results.
  func run(_ setting: StudySetting) throws -> StudyResult
}

extension Study {
  /// As many as most studies need.
  package func examples(_ scale: StudyScale) -> (train: Int, test: Int) { scale.examples }
}

/// The studies there are.
package enum StudyCatalog {
  /// In the order in which they are listed.
  package static let all: [any Study] = [
    InitialisationStudy(), DefencesStudy(), FlipAndMirrorStudy(), RandomisationStudy(),
    EquityStudy(),
  ]

  /// The study of a name.
  package static func study(named name: String) -> (any Study)? { all.first { $0.name == name } }
}

/// What a study is run on, and how much of it.
package struct StudySetting {
  /// How far a study is.
  package struct Progress: Sendable {
    /// Parts that are done, and all parts.
    package var (done, total): (Int, Int)
    /// The part that begins.
    package var text: String
  }

  /// What ``data`` says of digits that are drawn from strokes, and of those of an MNIST folder.
  package static let drawnDigits = "digits drawn from strokes"
  package static let realDigits = "real handwritten digits"

  /// Where it computes.
  package var device: Device
  /// The examples to learn from, and those to test with.
  package var (train, test): (Dataset, Dataset)
  /// What the examples are, such as ``realDigits``; no paths.
  package var data: String
  /// How much is computed.
  package var scale: StudyScale
  /// Selects first weights, the order of examples and everything else that is random.
  package var seed: UInt64
  /// Is called before each part.
  package var progress: (Progress) -> Void

  package init(
    device: Device, train: Dataset, test: Dataset, data: String, scale: StudyScale,
    seed: UInt64 = 0, progress: @escaping (Progress) -> Void = { _ in }
  ) {
    self.device = device
    (self.train, self.test) = (train, test)
    self.data = data
    self.scale = scale
    self.seed = seed
    self.progress = progress
  }

  /// One of two values: for all of a study and for its quick form.
  package func pick<Value>(full: Value, quick: Value) -> Value {
    scale == .full ? full : quick
  }

  /// Such as `real handwritten digits, 6000 to train, 2000 to test`.
  package var dataText: String { "\(data), \(train.count) to train, \(test.count) to test" }

  /// Such as `cpu` or `opencl`, without what tells one machine from another.
  package var deviceClass: String {
    String(device.info.selector.prefix { $0 != ":" })
  }
}

/// Work on a trainer before its first step.
package typealias StudyPreparation = (Trainer) throws(TensorError) -> Void

/// Work on a trainer after a step, counted from 1.
package typealias StudyStepAction = (Trainer, _ step: Int) throws(TensorError) -> Void

extension StudyScale {
  /// How many examples there are, unless somebody wants others.
  package var examples: (train: Int, test: Int) {
    switch self {
    case .full: (6000, 2000)
    case .quick: (512, 256)
    }
  }
}
