import KeelBackend
import KeelNN

/// Article A: does a good initialisation alone keep gradients bounded, and does its update help?
package struct InitialisationStudy: Study {
  package let name = "initialisation"
  package let title = "Initialisation against exploding gradients"
  package let article = """
    The article proposes to prevent exploding gradients by the choice of the first weights, and to \
    move all weights again at every iteration, by w = w · lr + 0.1 · U(0, 1).
    """
  package let claim = """
    A good initialisation alone keeps gradients bounded, and the update \
    w = w · lr + 0.1 · U(0, 1) helps.
    """

  /// What each group of variants is called.
  enum Group {
    static let convolutional = "Digits CNN"
    static let deep = "20 layers of relu"
    static let fast = "Digits CNN, too large a learning rate"
    static let update = "The article's update"
    static let deepUpdate = "The article's update on 20 layers"
  }

  /// Initialisations that the literature recommends for relu.
  static let good = ["He", "orthogonal", "LSUV"]

  private static let method = """
    Each variant differs from the others in its group by its first weights alone; biases are 0. \
    The CNN is conv 32 3x3, max-pool, dense 128, dense 10 with relu; the deep network has 20 \
    dense layers of 64 with relu and no normalisation. Steps are plain gradient descent in batches \
    of 32 with a rate of 0.05, and of 2 where it is too large; the deep network takes a rate of \
    0.01 with momentum 0.9 and twice as many epochs. \
    Nothing else keeps gradients bounded. A variant has diverged when its loss is not finite or a \
    hundred times the first one, and has learned nothing when fewer than a fifth of the test \
    examples are right.
    """

  package init() {}

  package func examples(_ scale: StudyScale) -> (train: Int, test: Int) {
    scale == .quick ? (1024, 512) : scale.examples
  }

  package func run(_ setting: StudySetting) throws -> StudyResult {
    let runs = InitialisationRuns(setting)
    let variants = try setting.trainAll(
      runs.convolutional() + runs.deep() + runs.fast() + runs.update() + runs.deepUpdate())
    let findings = InitialisationFindings(variants)
    return StudyResult(
      self, setting, method: Self.method, variants: variants,
      measurements: findings.measurements,
      details: [
        findings.startsBounded, findings.staysBounded, findings.articleUpdate,
        findings.recommendedUpdate,
      ], verdict: findings.sentence, supports: findings.supports)
  }
}
