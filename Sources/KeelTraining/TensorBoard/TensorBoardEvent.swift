import Glibc
import KeelEventMessages
import KeelStability
import SwiftProtobuf

/// What TensorBoard reads: a step with its values.
struct TensorBoardEvent {
  private var event = TensorBoard_Event()

  /// The first event of a file.
  static var version: [UInt8] {
    var first = TensorBoardEvent(step: 0)
    first.event.fileVersion = "brain.Event:2"
    return first.bytes
  }

  init(step: Int64) {
    event.wallTime = TensorBoardEvent.now
    event.step = step
  }

  /// Adds a number.
  mutating func add(_ tag: String, _ number: Float) {
    var value = TensorBoard_Summary.Value()
    value.tag = tag
    value.simpleValue = number
    event.summary.value.append(value)
  }

  /// Adds how the magnitudes of a gradient are distributed, over their logarithm to base 2: on a
  /// linear axis all but the largest would be one bar.
  mutating func add(_ tag: String, _ histogram: GradientHistogram) {
    let counts = histogram.counts.map(Double.init)
    guard let first = counts.firstIndex(where: { $0 > 0 }),
      let last = counts.lastIndex(where: { $0 > 0 })
    else { return }
    let range = first...last
    let middles = range.map { GradientHistogram.exponents(ofBin: $0).middle }
    var bars = TensorBoard_Histogram()
    bars.min = GradientHistogram.exponents(ofBin: first).lower
    bars.max = GradientHistogram.exponents(ofBin: last).upper
    bars.num = counts.reduce(0, +)
    bars.sum = zip(counts[range], middles).reduce(0) { $0 + $1.0 * $1.1 }
    bars.sumSquares = zip(counts[range], middles).reduce(0) { $0 + $1.0 * $1.1 * $1.1 }
    // A limit with nothing below it is where the first bar begins.
    bars.bucketLimit = [bars.min] + range.map { GradientHistogram.exponents(ofBin: $0).upper }
    bars.bucket = [0] + counts[range]
    var value = TensorBoard_Summary.Value()
    value.tag = tag
    value.histogram = bars
    event.summary.value.append(value)
  }

  /// The record.
  var bytes: [UInt8] {
    do { return try event.serializedBytes() } catch {
      // Only required fields that lack, or 2 GiB, are errors.
      fatalError("an event cannot be written: \(error)")
    }
  }

  /// Seconds since 1970.
  static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}
