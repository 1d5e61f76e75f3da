import KeelBackend

/// What the examples of a batch were joined with.
///
/// The loss of the batch is weight · L(outputs, labels) + (1 - weight) · L(outputs, partners').
public struct Mix: Sendable, Equatable {
  /// The label of each example's partner.
  public let labels: [Int32]
  /// The place of each partner in the data set.
  public let places: [Int32]
  /// λ: the part that is left of each example, in 0 ... 1.
  public let weight: Float

  /// What one example of the batch was joined with.
  package func of(_ example: Int) -> Mix {
    Mix(labels: [labels[example]], places: [places[example]], weight: weight)
  }
}

extension Augmentation {
  /// Joins each example of a batch with another one, if a mixing step is there and happens.
  ///
  /// Partners are a random permutation of the batch; they and λ are drawn from the key (seed,
  /// epoch, batch).
  func mixed(
    _ features: Features, shape: Shape, labels: [Int32], places: [Int32],
    at position: BatchPosition,
    seed: UInt64
  ) -> (features: Features, mix: Mix?) {
    guard let step = mixing else { return (features, nil) }
    // The top bit keeps batches apart from examples.
    let key = RandomKey(
      seed: seed, .augmentation,
      step: 1 << 63 | UInt64(truncatingIfNeeded: position.step) << 32
        | UInt64(truncatingIfNeeded: position.epoch) & 0xFFFF_FFFF)
    var random = RandomSequence(key)
    guard random.happens(step.probability) else { return (features, nil) }
    let partners = random.permutation(labels.count)
    let blend = Blend(step.change, shape, &random)
    let mixed: Features =
      switch features {
      case .bytes(let values): .bytes(blend.joined(values, shape, partners))
      case .floats(let values): .floats(blend.joined(values, shape, partners))
      }
    let mix = Mix(
      labels: partners.map { labels[Int($0)] }, places: partners.map { places[Int($0)] },
      weight: blend.weight)
    return (mixed, mix)
  }
}

/// How much of each example is left, and where.
private struct Blend {
  let weight: Float
  /// The rows and columns that come from the partner; nil blends everywhere.
  let box: (rows: Range<Int>, columns: Range<Int>)?

  init(_ change: Augmentation.Change, _ shape: Shape, _ random: inout RandomSequence) {
    guard case .cutMix(let alpha) = change else {
      var share = 1.0
      if case .mixUp(let alpha) = change { share = random.nextBeta(alpha) }
      weight = Float(share)
      box = nil
      return
    }
    let (height, width) = (shape[0], shape[1])
    let side = (1 - random.nextBeta(alpha)).squareRoot()
    let (rows, columns) = (Int(Double(height) * side), Int(Double(width) * side))
    let top = Int(random.next(below: UInt32(height))) - rows / 2
    let left = Int(random.next(below: UInt32(width))) - columns / 2
    let kept = (
      rows: max(0, top)..<min(height, top + rows),
      columns: max(0, left)..<min(width, left + columns)
    )
    // The edges may cut the box, so λ follows from what is left of it.
    let part = Double(kept.rows.count * kept.columns.count) / Double(height * width)
    weight = Float(1 - part)
    box = kept
  }

  func joined<Value: AugmentedNumber>(
    _ values: [Value], _ shape: Shape, _ partners: [Int32]
  ) -> [Value] {
    var result = values
    let width = shape.count
    for (row, partner) in partners.enumerated() where row != Int(partner) {
      let (to, from) = (row * width, Int(partner) * width)
      if let box {
        let (line, depth) = (shape[1] * shape[2], shape[2])
        for imageRow in box.rows {
          let columns = (box.columns.lowerBound * depth)..<(box.columns.upperBound * depth)
          for place in columns {
            result[to + imageRow * line + place] = values[from + imageRow * line + place]
          }
        }
      } else {
        let share = Double(weight)
        for place in 0..<width {
          result[to + place] = Value(
            rounding: share * values[to + place].number
              + (1 - share) * values[from + place].number)
        }
      }
    }
    return result
  }
}
