package import KeelBackend

/// One operand of a case: its shape and how its elements are made.
package struct CaseInput: Sendable, ExpressibleByArrayLiteral {
  /// Where the elements come from. Random ones depend on the case's id alone.
  package enum Fill: Sendable {
    /// float32 in [low, high).
    case uniform(Float, Float)
    /// float32: these numbers over and over.
    case repeating([Float])
    /// float32: random in [-2, 2), with these numbers at every seventh place in turn.
    case sprinkled([Float])
    /// float32: distinct multiples of 1/8 in random order; no two are equal or close.
    case distinct
    /// int32 in 0 ..< classes.
    case labels(Int)
    /// int32: these numbers over and over.
    case integers([Int32])
    /// uint8, all values.
    case bytes
  }

  package var shape: Shape
  package var fill: Fill
  /// A 16-bit type to whose numbers float32 elements are rounded: they can be kept in it as they
  /// are.
  package var rounding: DType?

  package init(_ shape: Shape, _ fill: Fill = .uniform(-2, 2)) {
    self.shape = shape
    self.fill = fill
  }

  /// Numbers in [-2, 2) of the given extents.
  package init(arrayLiteral extents: Int...) { self.init(Shape(extents)) }

  package var dtype: DType {
    switch fill {
    case .uniform, .repeating, .sprinkled, .distinct: .float32
    case .labels, .integers: .int32
    case .bytes: .uint8
    }
  }

  package var byteCount: Int { shape.count * dtype.byteCount }

  /// The elements for the operand at `position` of the case `id`.
  package func values(id: String, position: Int) -> CaseValues {
    let values = exactValues(id: id, position: position)
    guard let rounding, case .float32(let numbers) = values else { return values }
    let format = HalfFormat(rounding)
    return .float32(numbers.map { Float(format.rounded(Double($0))) })
  }

  private func exactValues(id: String, position: Int) -> CaseValues {
    var random = RandomSequence(CaseInput.key(id: id, position: position))
    let count = shape.count
    switch fill {
    case .uniform(let low, let high):
      return .float32((0..<count).map { _ in low + (high - low) * random.nextUniform() })
    case .repeating(let numbers):
      return .float32((0..<count).map { numbers[$0 % numbers.count] })
    case .sprinkled(let numbers):
      return .float32(
        (0..<count).map { place in
          let number = 4 * random.nextUniform() - 2
          return place % 7 == 3 ? numbers[place / 7 % numbers.count] : number
        })
    case .distinct:
      return .float32(random.permutation(count).map { Float($0 - Int32(count / 2)) / 8 })
    case .labels(let classes):
      return .int32((0..<count).map { _ in Int32(random.next(below: UInt32(classes))) })
    case .integers(let numbers):
      return .int32((0..<count).map { numbers[$0 % numbers.count] })
    case .bytes:
      return .uint8((0..<count).map { _ in UInt8(random.nextWord() >> 24) })
    }
  }

  /// The random numbers of one operand: seeded by a hash of the id that never changes.
  package static func key(id: String, position: Int) -> RandomKey {
    RandomKey(seed: fingerprint(id), .user, index: position)
  }

  /// FNV-1a with 64 bits (Fowler, Noll, Vo, 1991).
  package static func fingerprint(_ text: String) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    return hash
  }
}

/// Elements on the host.
package enum CaseValues: Sendable {
  case float32([Float])
  case int32([Int32])
  case uint8([UInt8])

  package var doubles: [Double] {
    switch self {
    case .float32(let values): values.map(Double.init)
    case .int32(let values): values.map(Double.init)
    case .uint8(let values): values.map(Double.init)
    }
  }

  /// The bits of each element: equal bits mean equal results, also for NaN and -0.
  package var bits: [UInt32] {
    switch self {
    case .float32(let values): values.map(\.bitPattern)
    case .int32(let values): values.map { UInt32(bitPattern: $0) }
    case .uint8(let values): values.map(UInt32.init)
    }
  }
}
