import Dispatch
import KeelBackend

/// Handwritten digits, drawn rather than collected: a data set inside the program.
///
/// Each image is a pure function of (seed, part, index): a digit and one of its styles, the pen's
/// points shaken a little, an affine distortion, a pen width and softness, ink strength, noise.
/// Only exactly rounded operations are used, so the bytes are the same on every machine.
public enum SyntheticDigits {
  /// Images are this many pixels high and wide.
  public static let side = 28

  /// Parts that share no image, whatever their sizes.
  public enum Part: Int, Sendable {
    /// To learn from.
    case train = 0
    /// To test with.
    case test = 1
  }

  /// A training and a test set.
  ///
  /// - Throws: ``DataError`` when a count is less than 1.
  public static func trainAndTest(
    train: Int = 6000, test: Int = 1000, seed: UInt64 = 0
  ) throws(DataError) -> (train: Dataset, test: Dataset) {
    (
      try dataset(.train, count: train, seed: seed),
      try dataset(.test, count: test, seed: seed)
    )
  }

  /// Images 0 ..< `count` of a part, drawn on all cores.
  ///
  /// - Throws: ``DataError`` when `count` is less than 1 or above ten million.
  public static func dataset(
    _ part: Part, count: Int, seed: UInt64 = 0
  ) throws(DataError) -> Dataset {
    guard count >= 1 else {
      throw DataError(.empty, "\(count) synthetic digits are not a data set")
    }
    guard count <= 10_000_000 else {
      throw DataError(.tooLarge, "\(count) synthetic digits exceed the limit of ten million")
    }
    let area = side * side
    var labels = [Int32](repeating: 0, count: count)
    let images = [UInt8](unsafeUninitializedCapacity: count * area) { pixels, initialized in
      labels.withUnsafeMutableBufferPointer { labels in
        // Safe: each piece writes its own images and labels, and all end before this returns.
        nonisolated(unsafe) let (pixels, labels) = (pixels, labels)
        let piece = 64
        DispatchQueue.concurrentPerform(iterations: (count + piece - 1) / piece) { number in
          for index in (number * piece)..<min(count, (number + 1) * piece) {
            let (label, drawn) = draw(part, index: index, seed: seed)
            labels[index] = label
            let target = UnsafeMutableBufferPointer(
              rebasing: pixels[(index * area)..<((index + 1) * area)])
            _ = target.initialize(fromContentsOf: drawn)
          }
        }
      }
      initialized = count * area
    }
    var digits = try Dataset(
      images: images, height: side, width: side, labels: labels, classCount: 10)
    digits.kind = .digits
    return digits
  }

  /// One image and its label.
  public static func image(
    _ part: Part, index: Int, seed: UInt64 = 0
  ) -> (label: Int32, image: GrayImage) {
    let (label, pixels) = draw(part, index: index, seed: seed)
    return (label, GrayImage(width: side, height: side, pixels: pixels))
  }

  private static func draw(_ part: Part, index: Int, seed: UInt64) -> (Int32, [UInt8]) {
    let key = RandomKey(
      seed: seed, .syntheticData, index: part.rawValue, step: UInt64(truncatingIfNeeded: index))
    var random = RandomSequence(key)
    let digit = Int(random.next(below: 10))
    let styles = DigitStroke.styles[digit]
    let style = styles[Int(random.next(below: UInt32(styles.count)))]
    let distortion = DigitDistortion(&random)
    var canvas = DigitCanvas()
    let pen = Pen(&random)
    for stroke in style {
      let chain = stroke.flattened { distortion.place($0, shaking: &random) }
      canvas.draw(chain, with: pen)
    }
    return (Int32(digit), canvas.developed(with: pen, noise: &random))
  }
}

/// A number drawn evenly from a range.
private func number(_ range: ClosedRange<Float>, _ random: inout RandomSequence) -> Float {
  range.lowerBound + (range.upperBound - range.lowerBound) * random.nextUniform()
}

/// Scale, shear, turn and shift from the unit square to pixels.
private struct DigitDistortion {
  let right: SIMD2<Float>
  let down: SIMD2<Float>
  let center: SIMD2<Float>
  let shake: Float

  init(_ random: inout RandomSequence) {
    let width = number(14...22, &random)
    let height = number(17...23, &random)
    let shear = number(-0.3...0.3, &random)
    // The tangent of half the angle gives sine and cosine by exact operations: up to 17 degrees.
    let half = number(-0.15...0.15, &random)
    let cosine = (1 - half * half) / (1 + half * half)
    let sine = 2 * half / (1 + half * half)
    right = SIMD2(cosine, sine) * width
    down = SIMD2(-shear * cosine - sine, cosine - shear * sine) * height
    center = SIMD2(14 + number(-2.2...2.2, &random), 14 + number(-2.2...2.2, &random))
    shake = number(0...0.06, &random)
  }

  /// Where a point of the unit square lies, in pixels, after a tremor of the hand.
  func place(_ point: SIMD2<Float>, shaking random: inout RandomSequence) -> SIMD2<Float> {
    let x = point.x - 0.5 + number(-1...1, &random) * shake
    let y = point.y - 0.5 + number(-1...1, &random) * shake
    return center + right * x + down * y
  }
}

/// What the strokes are drawn with.
private struct Pen {
  let radius: Float
  let softness: Float
  let ink: Float
  let noise: Float

  init(_ random: inout RandomSequence) {
    radius = number(0.7...1.9, &random)
    softness = number(0.9...2.2, &random)
    ink = number(150...255, &random)
    noise = number(0...24, &random)
  }

  /// How far from the middle of the stroke there is any ink.
  var reach: Float { radius + softness * 0.5 }
}

/// For each pixel, the square of the distance to the nearest stroke.
private struct DigitCanvas {
  private static let side = SyntheticDigits.side
  private var distances = [Float](repeating: 1e9, count: side * side)

  mutating func draw(_ chain: [SIMD2<Float>], with pen: Pen) {
    for (from, to) in zip(chain, chain.dropFirst()) {
      let (low, high) = (pointwiseMin(from, to) - pen.reach, pointwiseMax(from, to) + pen.reach)
      let way = to - from
      // A stroke of no length is a dot; the tiny term keeps the division defined.
      let inverse = 1 / ((way * way).sum() + 1e-12)
      for row in Self.pixels(low.y, high.y) {
        for column in Self.pixels(low.x, high.x) {
          let offset = SIMD2(Float(column) + 0.5, Float(row) + 0.5) - from
          let share = min(max((offset * way).sum() * inverse, 0), 1)
          let gap = offset - way * share
          let place = row * Self.side + column
          distances[place] = min(distances[place], (gap * gap).sum())
        }
      }
    }
  }

  /// The shades: ink inside the stroke, fading over the softness, plus noise.
  func developed(with pen: Pen, noise random: inout RandomSequence) -> [UInt8] {
    distances.map { squared in
      let depth = (pen.radius - squared.squareRoot()) / pen.softness + 0.5
      // The sum of four bytes is nearly normal: mean 510, deviation 148.
      let word = random.nextWord()
      let bytes = (word & 0xFF) + (word >> 8 & 0xFF) + (word >> 16 & 0xFF) + (word >> 24)
      let grain = (Float(bytes) - 510) / 148 * pen.noise
      return UInt8(min(max(min(max(depth, 0), 1) * pen.ink + grain, 0), 255) + 0.5)
    }
  }

  private static func pixels(_ low: Float, _ high: Float) -> Range<Int> {
    let first = Int(min(max(low, 0), Float(side)))
    let end = Int(min(max(high + 1, 0), Float(side)))
    return first..<max(first, end)
  }
}
