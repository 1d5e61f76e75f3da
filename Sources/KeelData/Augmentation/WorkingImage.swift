package import KeelBackend

/// One example while steps change it: numbers in `Double`, rounded only at the end.
package struct WorkingImage {
  package let height: Int
  package let width: Int
  package let channels: Int
  /// What white is: 255 for bytes, 1 for numbers.
  package let white: Double
  package private(set) var pixels: [Double]
  /// False until a step may have changed a number: then nothing is written back.
  package private(set) var isChanged = false
  /// Where the last moved image was; kept so that no step allocates.
  private var spare: [Double]
  private var low = 0.0
  private var high = 1.0

  package init(shape: Shape, white: Double) {
    let isImage = shape.rank == 3
    height = isImage ? shape[0] : 1
    width = isImage ? shape[1] : shape.count
    channels = isImage ? shape[2] : 1
    self.white = white
    pixels = [Double](repeating: 0, count: shape.count)
    spare = pixels
  }

  /// Begins with another example.
  package mutating func load<Value: AugmentedNumber>(_ values: UnsafeMutableBufferPointer<Value>) {
    (low, high) = (0, white)
    for place in pixels.indices {
      let number = values[place].number
      pixels[place] = number
      // Comparisons leave NaN out of the range and in the image.
      if number < low { low = number }
      if number > high { high = number }
    }
    isChanged = false
  }

  /// Replaces each number, kept in the range of the example.
  mutating func map(_ body: (Double) -> Double) {
    for place in pixels.indices {
      let number = body(pixels[place])
      pixels[place] = number < low ? low : number > high ? high : number
    }
    isChanged = true
  }

  /// The mean of all numbers.
  var mean: Double { pixels.reduce(0, +) / Double(pixels.count) }

  /// Sets the pixels of some rows and columns to black.
  mutating func blacken(rows: Range<Int>, columns: Range<Int>) {
    for row in rows {
      let line = row * width
      let first = (line + columns.lowerBound) * channels
      for place in first..<((line + columns.upperBound) * channels) { pixels[place] = 0 }
    }
    isChanged = true
  }

  /// Replaces each pixel by the one that stands at another place, or black.
  mutating func rearrange(_ border: Augmentation.Border, _ source: (Int, Int) -> (Int, Int)) {
    for row in 0..<height {
      for column in 0..<width {
        let (fromRow, fromColumn) = source(row, column)
        let from = place(fromRow, fromColumn, border)
        let to = (row * width + column) * channels
        for channel in 0..<channels {
          spare[to + channel] = from.map { pixels[$0 + channel] } ?? 0
        }
      }
    }
    swap(&pixels, &spare)
    isChanged = true
  }

  /// Replaces each pixel by the bilinear mean of the four around a point, given in rows and
  /// columns; neighbours of weight zero are not looked at.
  mutating func resample(
    _ border: Augmentation.Border, _ source: (Int, Int) -> (row: Double, column: Double)
  ) {
    var to = 0
    for row in 0..<height {
      for column in 0..<width {
        let point = source(row, column)
        let corner = (row: point.row.rounded(.down), column: point.column.rounded(.down))
        let (top, left) = (Int(corner.row), Int(corner.column))
        let (down, right) = (point.row - corner.row, point.column - corner.column)
        let weights = SIMD4(
          (1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
        // Most points lie between four pixels of the image.
        if top >= 0, left >= 0, top + 1 < height, left + 1 < width, down > 0, right > 0 {
          let from = (top * width + left) * channels
          let next = from + width * channels
          for channel in 0..<channels {
            spare[to + channel] =
              weights[0] * pixels[from + channel] + weights[1] * pixels[from + channels + channel]
              + weights[2] * pixels[next + channel] + weights[3] * pixels[next + channels + channel]
          }
        } else {
          for channel in 0..<channels { spare[to + channel] = 0 }
          for neighbour in 0..<4 where weights[neighbour] != 0 {
            guard let from = place(top + neighbour / 2, left + neighbour % 2, border) else {
              continue
            }
            for channel in 0..<channels {
              spare[to + channel] += weights[neighbour] * pixels[from + channel]
            }
          }
        }
        to += channels
      }
    }
    swap(&pixels, &spare)
    isChanged = true
  }

  /// Where the numbers of a pixel begin, or nil for black beyond the edge.
  private func place(_ row: Int, _ column: Int, _ border: Augmentation.Border) -> Int? {
    guard let row = border.inside(row, of: height), let column = border.inside(column, of: width)
    else { return nil }
    return (row * width + column) * channels
  }

  /// Writes the numbers back, rounded once.
  package func store<Value: AugmentedNumber>(into values: UnsafeMutableBufferPointer<Value>) {
    for place in pixels.indices { values[place] = Value(rounding: pixels[place]) }
  }
}

extension Augmentation.Border {
  /// The line of the image that stands at a line which may lie outside, or nil for none.
  package func inside(_ line: Int, of count: Int) -> Int? {
    if line >= 0, line < count { return line }
    switch self {
    case .zero: return nil
    case .edge: return line < 0 ? 0 : count - 1
    case .reflect:
      guard count > 1 else { return 0 }
      // To and fro without repeating the outermost line.
      let period = 2 * (count - 1)
      let phase = ((line % period) + period) % period
      return phase < count ? phase : period - phase
    }
  }
}

/// The two forms of features.
package protocol AugmentedNumber: BitwiseCopyable, Sendable {
  /// What the network sees as 1.
  static var white: Double { get }
  /// The value as it stands.
  var number: Double { get }
  /// The nearest value.
  init(rounding number: Double)
}

extension UInt8: AugmentedNumber {
  package static var white: Double { 255 }
  package var number: Double { Double(self) }
  package init(rounding number: Double) {
    self = UInt8(Swift.min(Swift.max(number, 0), 255).rounded())
  }
}

extension Float: AugmentedNumber {
  package static var white: Double { 1 }
  package var number: Double { Double(self) }
  package init(rounding number: Double) { self = Float(number) }
}
