public import KeelBackend

extension Augmentation.Step {
  /// Throws unless every number is in its range.
  func validate() throws(DataError) {
    try require(probability, "probability", in: 0...1)
    switch change {
    case .crop(let padding, _): try require(Double(padding), "padding", in: 0...Self.mostPixels)
    case .shift(let columns, let rows, _):
      try require(Double(columns), "columns", in: 0...Self.mostPixels)
      try require(Double(rows), "rows", in: 0...Self.mostPixels)
    case .flip: break
    case .rotate(let degrees, _): try require(degrees, "degrees", in: 0...180)
    case .zoom(let from, let to, _):
      try require(from, "smallest factor", in: 0.01...100)
      try require(to, "largest factor", in: from...100)
    case .elastic(let strength, let smoothness, _):
      try require(strength, "strength", in: 0...10_000)
      try require(smoothness, "smoothness", in: 0.1...100)
    case .brightness(let amount): try require(amount, "amount", in: 0...1)
    case .contrast(let from, let to):
      try require(from, "smallest factor", in: 0...100)
      try require(to, "largest factor", in: from...100)
    case .erase(let side): try require(Double(side), "side", in: 0...Self.mostPixels)
    case .noise(let deviation): try require(deviation, "deviation", in: 0...10)
    case .mixUp(let alpha), .cutMix(let alpha): try require(alpha, "alpha", in: 0.001...1000)
    }
  }

  private static let mostPixels = 65_536.0

  private func require(
    _ value: Double, _ name: String, in range: ClosedRange<Double>
  ) throws(DataError) {
    // NaN lies in no range.
    guard range.contains(value) else {
      throw DataError(
        .outOfRange,
        "augmentation \(self): \(name) \(written(value)) is outside "
          + "\(written(range.lowerBound)) ... \(written(range.upperBound))")
    }
  }
}

extension Augmentation {
  /// Throws unless each step can work on examples of a shape.
  ///
  /// - Throws: ``DataError`` (`mismatch`) when a step needs images and there are none, or would
  ///   push all of an image out of the frame.
  public func validate(for shape: Shape) throws(DataError) {
    for step in steps {
      if step.change.needsImage, shape.rank != 3 {
        throw DataError(
          .mismatch,
          "augmentation \(step): requires images of height x width x channels, "
            + "examples are \(shape)")
      }
      let reach: (columns: Int, rows: Int)
      switch step.change {
      case .shift(let columns, let rows, _): reach = (columns, rows)
      case .crop(let padding, _): reach = (padding, padding)
      default: continue
      }
      guard reach.rows < shape[0], reach.columns < shape[1] else {
        throw DataError(
          .mismatch, "augmentation \(step): may move all of an image of \(shape) out of the frame",
          remedy: "shift by fewer pixels than an image has")
      }
    }
  }
}
