import KeelBackend
import KeelNN

/// Article B: does each of five kinds of defence keep the training of an MNIST CNN from exploding?
package struct DefencesStudy: Study {
  package let name = "defences"
  package let title = "Five kinds of defence against exploding gradients"
  package let article = """
    The article equips a small convolutional network for handwritten digits with five defences to \
    choose from: gradient clipping, weight initialisation, data augmentation, learning-rate \
    adjustment and regularisation.
    """
  package let claim = "Each of five pluggable defences avoids the explosion of gradients."

  /// What each group of variants is called.
  enum Group {
    static let normal = "A normal learning rate"
    static let fast = "A learning rate that is too large"
    static let adam = "Adam, too large a learning rate"
  }

  /// Rates of gradient descent with momentum: with the second one the bare network fails.
  static let (normalRate, fastRate): (Float, Float) = (0.02, 0.5)
  /// The same of Adam.
  static let adamRate: Float = 0.1

  private static let method = """
    The network is conv 32 3x3, max-pool, dense 128, dense 10 with relu, on batches of 32. Each \
    defence is put to two tests: gradient descent with momentum 0.9 at a rate of 0.02, which \
    needs no defence and shows what it costs or gains, and at a rate of 0.5, with which the bare \
    network fails within the first epoch. A few defences meet Adam at a rate of 0.1 too. A \
    variant has diverged when its loss is not finite or a hundred times the first one, and has \
    learned nothing when fewer than a fifth of the test examples are right: relu units that one \
    huge step has silenced give a finite loss that no longer moves.
    """

  package init() {}

  package func examples(_ scale: StudyScale) -> (train: Int, test: Int) {
    scale == .quick ? (1024, 512) : scale.examples
  }

  package func run(_ setting: StudySetting) throws -> StudyResult {
    let runs = DefenceRuns(setting)
    let defences = try runs.defences()
    let variants = try setting.trainAll(
      runs.runs(defences, Group.normal, rate: Self.normalRate)
        + runs.runs(defences, Group.fast, rate: Self.fastRate) + runs.adam())
    let findings = DefenceFindings(variants, defences)
    return StudyResult(
      self, setting, method: Self.method, variants: variants, measurements: findings.measurements,
      details: findings.families + findings.defences
        + [findings.adaptive, findings.adam].compactMap { $0 },
      verdict: findings.sentence,
      supports: findings.supports)
  }
}

/// One way to keep a training upright.
struct StudiedDefence {
  /// The five kinds that the article names.
  enum Family: String, CaseIterable {
    case clipping = "gradient clipping"
    case initialisation = "weight initialisation"
    case augmentation = "data augmentation"
    case schedule = "learning-rate adjustment"
    case regularisation = "regularisation"
  }

  var name: String
  var options: String
  /// Nil for no defence at all.
  var family: Family?
  /// Whether it is too slow for all examples.
  var learnsFromFew = false
  /// Puts it into a training.
  var change: (inout StudyRun) -> Void

  init(
    _ name: String, _ family: Family?, _ options: String,
    _ change: @escaping (inout StudyRun) -> Void
  ) {
    self.name = name
    self.family = family
    self.options = options
    self.change = change
  }
}
