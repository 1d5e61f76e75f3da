public import KeelBackend

/// A picture in shades of grey, 0 black to 255 white.
public struct GrayImage: Equatable, Sendable {
  /// Pixels per row.
  public let width: Int
  /// Rows.
  public let height: Int
  /// The pixels, row by row.
  public let pixels: [UInt8]

  /// A picture of the given pixels, `width` times `height` of them.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height)
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// The mean of the outermost pixels: the shade of the background.
  public var borderMean: Double {
    var (sum, count) = (0, 0)
    for row in 0..<height {
      let edge = row == 0 || row == height - 1
      for column in stride(from: 0, to: width, by: edge || width == 1 ? 1 : width - 1) {
        sum += Int(pixels[row * width + column])
        count += 1
      }
    }
    return Double(sum) / Double(count)
  }

  /// White for black.
  public var inverted: GrayImage {
    GrayImage(width: width, height: height, pixels: pixels.map { 255 - $0 })
  }

  /// The picture in the middle of a square of its longer side, filled with the background's shade.
  public var squared: GrayImage {
    guard width != height else { return self }
    let side = max(width, height)
    var square = [UInt8](repeating: UInt8(borderMean.rounded()), count: side * side)
    let (left, top) = ((side - width) / 2, (side - height) / 2)
    for row in 0..<height {
      let target = (top + row) * side + left
      square.replaceSubrange(
        target..<(target + width), with: pixels[(row * width)..<((row + 1) * width)])
    }
    return GrayImage(width: side, height: side, pixels: square)
  }

  /// The picture at another size: each new pixel is the mean of the area that it covers.
  public func resized(width newWidth: Int, height newHeight: Int) -> GrayImage {
    precondition(newWidth > 0 && newHeight > 0)
    guard newWidth != width || newHeight != height else { return self }
    let columns = Self.coverage(of: width, by: newWidth)
    let rows = Self.coverage(of: height, by: newHeight)
    // Across first, then down: the mean over a rectangle separates.
    var across = [Double](repeating: 0, count: height * newWidth)
    for row in 0..<height {
      for (column, cover) in columns.enumerated() {
        var sum = 0.0
        for (place, weight) in zip(cover.first..., cover.weights) {
          sum += weight * Double(pixels[row * width + place])
        }
        across[row * newWidth + column] = sum
      }
    }
    var result = [UInt8](repeating: 0, count: newWidth * newHeight)
    for (row, cover) in rows.enumerated() {
      for column in 0..<newWidth {
        var sum = 0.0
        for (place, weight) in zip(cover.first..., cover.weights) {
          sum += weight * across[place * newWidth + column]
        }
        result[row * newWidth + column] = UInt8(min(255, max(0, sum.rounded())))
      }
    }
    return GrayImage(width: newWidth, height: newHeight, pixels: result)
  }

  /// The picture as a network for images of `shape` (height x width x 1) wants it: squared when
  /// the network's images are, resized, and inverted when `invert` says so.
  ///
  /// MNIST is white ink on black. A scan is dark ink on white paper, which shows in the border:
  /// with `invert` nil, a picture whose ``borderMean`` exceeds 127.5 is inverted.
  ///
  /// - Throws: ``DataError`` when `shape` is not that of a grey image.
  public func fitted(to shape: Shape, invert: Bool? = nil) throws(DataError) -> GrayImage {
    guard shape.rank == 3, shape[2] == 1, shape[0] > 0, shape[1] > 0 else {
      throw DataError(
        .mismatch, "the model takes examples of \(shape), not grey images height x width x 1")
    }
    let upright = invert ?? (borderMean > 127.5) ? inverted : self
    let framed = shape[0] == shape[1] ? upright.squared : upright
    return framed.resized(width: shape[1], height: shape[0])
  }

  /// For each new pixel: the first old pixel that it covers, and the shares of the covered ones,
  /// which sum to one.
  private static func coverage(of old: Int, by new: Int) -> [(first: Int, weights: [Double])] {
    let scale = Double(old) / Double(new)
    return (0..<new).map { place in
      let (start, end) = (Double(place) * scale, Double(place + 1) * scale)
      let first = min(Int(start), old - 1)
      let last = max(first, min(Int(end.rounded(.up)), old) - 1)
      let shares = (first...last).map { pixel in
        max(0, min(end, Double(pixel + 1)) - max(start, Double(pixel)))
      }
      let total = shares.reduce(0, +)
      return (first, shares.map { $0 / total })
    }
  }
}
