/// The numbers of examples, one example after the other, in the form in which they travel.
///
/// Images stay bytes until they reach the device, which scales them by 1/255 into [0, 1]: that is
/// a quarter of the traffic.
public enum Features: Sendable, Equatable {
  /// Images, 0 black to 255 white, row-major with channels last.
  case bytes([UInt8])
  /// Numbers used as they are.
  case floats([Float])

  /// The count of numbers.
  public var count: Int {
    switch self {
    case .bytes(let values): values.count
    case .floats(let values): values.count
    }
  }

  /// The same as float32: bytes become value / 255, rounded once.
  public var normalized: [Float] {
    switch self {
    case .bytes(let values): values.map { Float($0) / 255 }
    case .floats(let values): values
    }
  }

  /// Runs `body` on the memory of the numbers, in native byte order.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch self {
    case .bytes(let values):
      try values.withUnsafeBufferPointer { (all) throws(Failure) in
        try body(UnsafeRawBufferPointer(all))
      }
    case .floats(let values):
      try values.withUnsafeBufferPointer { (all) throws(Failure) in
        try body(UnsafeRawBufferPointer(all))
      }
    }
  }

  /// The examples of the given numbers, `width` values each, in that order.
  package func gather(_ rows: ArraySlice<Int32>, width: Int) -> Features {
    switch self {
    case .bytes(let values): .bytes(gathered(values, rows, width: width))
    case .floats(let values): .floats(gathered(values, rows, width: width))
    }
  }
}

/// One `memcpy` per row: the fastest way a single core has.
private func gathered<Value: BitwiseCopyable>(
  _ values: [Value], _ rows: ArraySlice<Int32>, width: Int
) -> [Value] {
  values.withUnsafeBufferPointer { source in
    Array(unsafeUninitializedCapacity: rows.count * width) { target, count in
      for (place, row) in rows.enumerated() {
        let start = Int(row) * width
        let from = UnsafeBufferPointer(rebasing: source[start..<(start + width)])
        let to = UnsafeMutableBufferPointer(
          rebasing: target[(place * width)..<((place + 1) * width)])
        _ = to.initialize(fromContentsOf: from)
      }
      count = rows.count * width
    }
  }
}
