internal import CKeelLoops
internal import KeelBackend

/// Rows of few columns taken several at a time, as one wide row: vector loops over columns then
/// have something to chew on. Per-column numbers are repeated, per-column sums folded.
struct WideRows {
  let columns: Int
  /// Elements of a wide row: a multiple of `columns`.
  let period: Int
  /// All elements.
  let count: Int
  /// Elements per part: a multiple of `period`.
  let part: Int

  init(_ shape: Shape) {
    columns = shape[shape.rank - 1]
    count = shape.count
    var together = 1
    if columns < 256 {
      // A multiple of 16 elements, about 256 of them.
      let unit = 16 >> min(4, columns.trailingZeroBitCount)
      together = max(unit, 256 / columns / unit * unit)
    }
    period = columns * together
    part = max(1, 2 * partSize / period) * period
  }

  /// How many parts there are.
  var parts: Int { (count + part - 1) / part }

  /// Per-column numbers repeated over the period, in scratch memory (or as they are).
  func repeating(
    _ values: UnsafePointer<Float>, into scratch: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    if period == columns { return values }
    for start in stride(from: 0, to: period, by: columns) {
      (scratch + start).update(from: values, count: columns)
    }
    return UnsafePointer(scratch)
  }

  /// Runs `body(begin, count)` for each part.
  func forEachPart(_ body: (_ begin: Int, _ count: Int) -> Void) {
    inParts(of: part, count) { begin, end in body(begin, end - begin) }
  }

  /// Per-column sums: `body(begin, count, sums)` adds a part's to `streams` rows of `period`
  /// numbers. Parts are combined in ascending order.
  ///
  /// - Parameter use: gets `streams` rows of `columns` sums.
  func sums(
    _ streams: Int, on backend: CPUBackend,
    adding body: (_ begin: Int, _ count: Int, _ sums: UnsafeMutablePointer<Double>) -> Void,
    use: (UnsafePointer<Double>) -> Void
  ) throws(DeviceError) {
    let width = streams * period
    let storage = try backend.scratch((parts + 1) * width, of: Double.self)
    let partials: UnsafeMutablePointer<Double> = storage.pointer()
    concurrently(parts) { index in
      let sums = partials + index * width
      sums.update(repeating: 0, count: width)
      let begin = index * part
      body(begin, min(part, count - begin), sums)
      for stream in 0..<streams { keel_fold_period(sums + stream * period, period, columns) }
    }
    let totals = partials + parts * width
    totals.update(repeating: 0, count: width)
    for index in 0..<parts {
      let sums = partials + index * width
      for stream in 0..<streams {
        for column in 0..<columns {
          totals[stream * columns + column] += sums[stream * period + column]
        }
      }
    }
    use(totals)
  }
}
