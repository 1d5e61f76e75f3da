import ArgumentParser
import Keel

/// The option that changes training examples at random.
struct AugmentationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Random changes of training examples, one after the other, such as \
      shift=2,rotate=10,erase=6: crop=padding, shift=pixels, flip=horizontal|vertical, \
      rotate=degrees, zoom=from:to, elastic=strength:smoothness, brightness=amount, \
      contrast=from:to, erase=side, noise=deviation, mixup=alpha, cutmix=alpha; @p at the end of \
      one is its probability.
      """, valueName: "steps"))
  var augment: String?

  func validate() throws {
    do { _ = try chosen } catch { throw ValidationError("\(error).") }
  }

  /// The changes, or nil for none.
  var chosen: Augmentation? {
    get throws(DataError) {
      guard let augment else { return nil }
      return try Augmentation(parsing: augment)
    }
  }
}
