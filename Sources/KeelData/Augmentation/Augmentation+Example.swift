import Dispatch
package import KeelBackend

extension Augmentation {
  /// The examples of a batch after all steps but the mixing one.
  ///
  /// Requires that ``validate(for:)`` accepts the shape.
  func applied(
    to features: Features, shape: Shape, places: [Int32], epoch: Int, seed: UInt64, workers: Int
  ) -> Features {
    switch features {
    case .bytes(let values):
      .bytes(applied(values, shape, places, epoch: epoch, seed: seed, workers: workers))
    case .floats(let values):
      .floats(applied(values, shape, places, epoch: epoch, seed: seed, workers: workers))
    }
  }

  private func applied<Value: AugmentedNumber>(
    _ values: [Value], _ shape: Shape, _ places: [Int32], epoch: Int, seed: UInt64, workers: Int
  ) -> [Value] {
    let own = steps.filter { !$0.change.isMixing && $0.probability > 0 }
    guard !own.isEmpty else { return values }
    var result = values
    let width = shape.count
    let workers = min(max(1, workers), places.count)
    result.withUnsafeMutableBufferPointer { result in
      // Safe: each worker writes examples of its own, and all end before this returns.
      nonisolated(unsafe) let result = result
      DispatchQueue.concurrentPerform(iterations: workers) { worker in
        var image = WorkingImage(shape: shape, white: Value.white)
        for row in stride(from: worker, to: places.count, by: workers) {
          let numbers = UnsafeMutableBufferPointer(
            rebasing: result[(row * width)..<((row + 1) * width)])
          image.load(numbers)
          var random = RandomSequence(
            Self.key(seed: seed, epoch: epoch, example: Int(places[row])))
          for step in own where random.happens(step.probability) {
            step.change.change(&image, &random)
          }
          if image.isChanged { image.store(into: numbers) }
        }
      }
    }
    return result
  }

  /// The key of an example in an epoch. An index has 24 bits; the rest of a larger place goes
  /// above the epoch.
  package static func key(seed: UInt64, epoch: Int, example: Int) -> RandomKey {
    RandomKey(
      seed: seed, .augmentation, index: example,
      step: UInt64(truncatingIfNeeded: epoch) & 0xFFFF_FFFF | UInt64(example >> 24) << 32)
  }
}

extension Augmentation.Change {
  /// Draws what to do and does it. A draw that changes nothing leaves every bit.
  fileprivate func change(_ image: inout WorkingImage, _ random: inout RandomSequence) {
    switch self {
    case .crop(let padding, let border):
      image.shift(
        columns: random.next(within: padding), rows: random.next(within: padding), border)
    case .shift(let columns, let rows, let border):
      image.shift(columns: random.next(within: columns), rows: random.next(within: rows), border)
    case .flip(let mirror): image.flip(mirror)
    case .rotate(let degrees, let border):
      image.rotate(degrees: random.next(in: -degrees...degrees), border)
    case .zoom(let from, let to, let border):
      image.zoom(factor: random.next(in: from...to), border)
    case .elastic(let strength, let smoothness, let border):
      image.bend(strength: strength, smoothness: smoothness, border, &random)
    case .brightness(let amount):
      let light = random.next(in: -amount...amount) * image.white
      if light != 0 { image.map { $0 + light } }
    case .contrast(let from, let to):
      let (factor, mean) = (random.next(in: from...to), image.mean)
      if factor != 1 { image.map { mean + factor * ($0 - mean) } }
    case .erase(let side): image.erase(side: side, &random)
    case .noise(let deviation):
      guard deviation > 0 else { return }
      var kept: Double?
      let unit = deviation * image.white
      image.map { number in
        if let second = kept {
          kept = nil
          return number + unit * second
        }
        let pair = random.nextNormals()
        kept = pair.1
        return number + unit * pair.0
      }
    case .mixUp, .cutMix: break
    }
  }
}

extension WorkingImage {
  /// Moves right and down; negative numbers left and up.
  package mutating func shift(columns: Int, rows: Int, _ border: Augmentation.Border) {
    guard columns != 0 || rows != 0 else { return }
    rearrange(border) { ($0 - rows, $1 - columns) }
  }

  package mutating func flip(_ mirror: Augmentation.Mirror) {
    let (bottom, right) = (height - 1, width - 1)
    switch mirror {
    case .horizontal: rearrange(.zero) { ($0, right - $1) }
    case .vertical: rearrange(.zero) { (bottom - $0, $1) }
    }
  }

  /// Turns counter-clockwise as seen, about the middle.
  package mutating func rotate(degrees: Double, _ border: Augmentation.Border) {
    guard degrees != 0 else { return }
    let (sine, cosine) = RepeatableMath.sineAndCosine(degrees: degrees)
    let (middleRow, middleColumn) = (Double(height - 1) / 2, Double(width - 1) / 2)
    resample(border) { row, column in
      // Where the pixel was: the opposite turn, with rows counted downwards.
      let (y, x) = (Double(row) - middleRow, Double(column) - middleColumn)
      return (middleRow + x * sine + y * cosine, middleColumn + x * cosine - y * sine)
    }
  }

  package mutating func zoom(factor: Double, _ border: Augmentation.Border) {
    guard factor != 1 else { return }
    let (middleRow, middleColumn) = (Double(height - 1) / 2, Double(width - 1) / 2)
    resample(border) { row, column in
      (
        middleRow + (Double(row) - middleRow) / factor,
        middleColumn + (Double(column) - middleColumn) / factor
      )
    }
  }

  package mutating func bend(
    strength: Double, smoothness: Double, _ border: Augmentation.Border,
    _ random: inout RandomSequence
  ) {
    guard strength > 0 else { return }
    let weights = gaussian(deviation: smoothness)
    let down = smoothField(height: height, width: width, weights, &random)
    let across = smoothField(height: height, width: width, weights, &random)
    let width = width
    resample(border) { row, column in
      let place = row * width + column
      return (Double(row) + strength * down[place], Double(column) + strength * across[place])
    }
  }

  package mutating func erase(side: Int, _ random: inout RandomSequence) {
    guard side > 0 else { return }
    let top = Int(random.next(below: UInt32(height))) - side / 2
    let left = Int(random.next(below: UInt32(width))) - side / 2
    blacken(
      rows: max(0, top)..<min(height, top + side), columns: max(0, left)..<min(width, left + side))
  }
}

/// The weights of a Gaussian at whole distances 0 ... 3 deviations; both sides sum to one.
private func gaussian(deviation: Double) -> [Double] {
  let reach = Int((3 * deviation).rounded(.up))
  let raw = (0...reach).map { distance in
    RepeatableMath.exponential(-Double(distance * distance) / (2 * deviation * deviation))
  }
  let sum = raw[0] + 2 * raw.dropFirst().reduce(0, +)
  return raw.map { $0 / sum }
}

/// Uniform numbers in -1 ..< 1, blurred across and down; there is nothing beyond the edges.
private func smoothField(
  height: Int, width: Int, _ weights: [Double], _ random: inout RandomSequence
) -> [Double] {
  // Columns first: each is one line of memory until it is turned.
  let raw = (0..<(height * width)).map { _ in random.next(in: -1...1) }
  let across = blurred(raw, lines: width, weights)
  var turned = raw
  for row in 0..<height {
    for column in 0..<width { turned[row * width + column] = across[column * height + row] }
  }
  return blurred(turned, lines: height, weights)
}

/// Each line as the weighted sum of those around it.
private func blurred(_ field: [Double], lines: Int, _ weights: [Double]) -> [Double] {
  let length = field.count / lines
  var result = [Double](repeating: 0, count: field.count)
  field.withUnsafeBufferPointer { field in
    result.withUnsafeMutableBufferPointer { result in
      for line in 0..<lines {
        let first = max(0, line - weights.count + 1)
        for other in first...min(lines - 1, line + weights.count - 1) {
          let weight = weights[abs(line - other)]
          let (to, from) = (line * length, other * length)
          for place in 0..<length { result[to + place] += weight * field[from + place] }
        }
      }
    }
  }
  return result
}
