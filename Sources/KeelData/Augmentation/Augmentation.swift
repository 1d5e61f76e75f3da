/// Random changes of training examples that keep what they show.
///
/// ```swift
/// let augmentation = try Augmentation(.shift(2), .rotate(degrees: 10), .erase(side: 6))
/// try trainer.fit(train, epochs: 10, augmentation: augmentation)
/// ```
///
/// The steps work one after the other. Every draw comes from the counter (seed, epoch, place of
/// the example), so the bytes of an example depend on nothing else: any number of workers, any
/// batch size and any resumed run sees the same. Mixing steps (MixUp, CutMix) join examples of a
/// batch and are keyed (seed, epoch, batch). All arithmetic is exactly rounded, so the bytes are
/// equal on every machine.
///
/// Amounts of light are in the unit of the network's input: 1 is white, 255 of a byte. Bytes are
/// rounded once, after the last step, and stay in 0 ... 255. Numbers stay in 0 ... 1, widened to
/// what the example itself holds.
///
/// The description, such as `shift=2,rotate=10,erase=6`, names the same augmentation again through
/// ``init(parsing:)`` and is what a run records.
public struct Augmentation: Hashable, Sendable {
  /// What happens, in this order.
  public let steps: [Step]

  /// The steps in their order.
  ///
  /// - Throws: ``DataError`` (`outOfRange`) that names the step whose range is not usable, or when
  ///   a mixing step is not the last.
  public init(_ steps: Step...) throws(DataError) { try self.init(steps: steps) }

  /// The steps in their order.
  ///
  /// - Throws: as ``init(_:)``.
  public init(steps: [Step]) throws(DataError) {
    guard !steps.isEmpty else {
      throw DataError(.empty, "an augmentation without steps", remedy: "pass nil for none")
    }
    for step in steps { try step.validate() }
    if let place = steps.firstIndex(where: { $0.change.isMixing }), place + 1 < steps.count {
      throw DataError(
        .outOfRange, "augmentation: \(steps[place]) comes before \(steps[place + 1])",
        remedy: "mix finished examples: one mixing step, the last")
    }
    self.steps = steps
  }

  /// The step that joins examples, if there is one.
  public var mixing: Step? { steps.last.flatMap { $0.change.isMixing ? $0 : nil } }

  /// Whether any step may mirror left and right: text and digits do not survive that.
  public var flipsHorizontally: Bool {
    steps.contains { $0.change == .flip(.horizontal) && $0.probability > 0 }
  }
}

extension Augmentation {
  /// What stands beyond the edges of an image when it is moved.
  public enum Border: String, Hashable, Sendable, CaseIterable {
    /// Black: 0.
    case zero
    /// The nearest pixel of the edge.
    case edge
    /// The image mirrored at its outermost pixels.
    case reflect
  }

  /// A direction of mirroring.
  public enum Mirror: String, Hashable, Sendable, CaseIterable {
    /// Left becomes right.
    case horizontal
    /// Top becomes bottom.
    case vertical
  }

  /// One change of an example.
  public enum Change: Hashable, Sendable {
    /// Pads each side and cuts a window of the old size at a random place (Krizhevsky 2009; He
    /// 2016).
    case crop(padding: Int, border: Border)
    /// Moves by whole pixels, -columns ... columns across and -rows ... rows down.
    case shift(columns: Int, rows: Int, border: Border)
    /// Mirrors.
    case flip(Mirror)
    /// Turns about the middle by -degrees ... degrees, counter-clockwise, bilinear.
    case rotate(degrees: Double, border: Border)
    /// Enlarges about the middle by a factor of a range, below 1 reduces; bilinear.
    case zoom(from: Double, to: Double, border: Border)
    /// Moves each pixel by a smooth random field: uniform numbers in -1 ... 1, blurred by a
    /// Gaussian of deviation `smoothness` pixels, times `strength` pixels (Simard 2003).
    case elastic(strength: Double, smoothness: Double, border: Border)
    /// Adds one number of -amount ... amount.
    case brightness(Double)
    /// Multiplies the distance from the image's mean by a factor of a range.
    case contrast(from: Double, to: Double)
    /// Blackens a square whose middle is any pixel; what lies outside is cut off (DeVries 2017).
    case erase(side: Int)
    /// Adds normal noise of this deviation to each number.
    case noise(deviation: Double)
    /// λx + (1-λ)x' with another example of the batch, λ from Beta(alpha, alpha), one per batch;
    /// the loss is λL(y) + (1-λ)L(y') (Zhang 2018).
    case mixUp(alpha: Double)
    /// Puts a box of another example of the batch into each; the box covers the part 1-λ, λ from
    /// Beta(alpha, alpha), one per batch; the loss as for MixUp with the part left (Yun 2019).
    case cutMix(alpha: Double)

    /// Whether it joins examples and their labels.
    public var isMixing: Bool {
      switch self {
      case .mixUp, .cutMix: true
      default: false
      }
    }

    /// Whether it needs rows and columns of pixels.
    var needsImage: Bool {
      switch self {
      case .noise, .mixUp: false
      default: true
      }
    }
  }

  /// A change and how often it happens.
  public struct Step: Hashable, Sendable {
    /// What happens.
    public var change: Change
    /// How often: in 0 ... 1.
    public var probability: Double

    /// A change that happens with this probability.
    public init(_ change: Change, probability: Double = 1) {
      self.change = change
      self.probability = probability
    }
  }
}

extension Augmentation.Step {
  /// Pads each side by some pixels and cuts a random window of the old size.
  public static func crop(padding: Int, border: Augmentation.Border = .zero) -> Self {
    Self(.crop(padding: padding, border: border))
  }

  /// Moves by up to so many whole pixels in each direction.
  public static func shift(_ pixels: Int, border: Augmentation.Border = .zero) -> Self {
    Self(.shift(columns: pixels, rows: pixels, border: border))
  }

  /// Moves by up to so many columns across and rows down.
  public static func shift(
    columns: Int, rows: Int, border: Augmentation.Border = .zero
  ) -> Self {
    Self(.shift(columns: columns, rows: rows, border: border))
  }

  /// Mirrors, by default every other example.
  public static func flip(_ mirror: Augmentation.Mirror, probability: Double = 0.5) -> Self {
    Self(.flip(mirror), probability: probability)
  }

  /// Turns by up to so many degrees either way.
  public static func rotate(degrees: Double, border: Augmentation.Border = .zero) -> Self {
    Self(.rotate(degrees: degrees, border: border))
  }

  /// Enlarges by a factor of a range.
  public static func zoom(
    _ factors: ClosedRange<Double>, border: Augmentation.Border = .zero
  ) -> Self {
    Self(.zoom(from: factors.lowerBound, to: factors.upperBound, border: border))
  }

  /// Bends by a smooth field.
  public static func elastic(
    strength: Double = 34, smoothness: Double = 4, border: Augmentation.Border = .zero
  ) -> Self {
    Self(.elastic(strength: strength, smoothness: smoothness, border: border))
  }

  /// Adds one number of -amount ... amount.
  public static func brightness(_ amount: Double) -> Self { Self(.brightness(amount)) }

  /// Stretches the differences from the mean by a factor of a range.
  public static func contrast(_ factors: ClosedRange<Double>) -> Self {
    Self(.contrast(from: factors.lowerBound, to: factors.upperBound))
  }

  /// Blackens a square somewhere.
  public static func erase(side: Int) -> Self { Self(.erase(side: side)) }

  /// Adds normal noise.
  public static func noise(deviation: Double) -> Self { Self(.noise(deviation: deviation)) }

  /// Mixes whole examples.
  public static func mixUp(alpha: Double = 0.2, probability: Double = 1) -> Self {
    Self(.mixUp(alpha: alpha), probability: probability)
  }

  /// Exchanges boxes of examples.
  public static func cutMix(alpha: Double = 1, probability: Double = 1) -> Self {
    Self(.cutMix(alpha: alpha), probability: probability)
  }
}
