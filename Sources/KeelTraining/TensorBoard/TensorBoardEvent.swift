import Glibc
import KeelStability

/// What TensorBoard reads: the message `Event` of TensorFlow's `event.proto` with the values of its
/// `summary.proto`, as far as they are needed.
struct TensorBoardEvent {
  private var message = ProtobufMessage()
  private var summary = ProtobufMessage()

  /// The first event of a file.
  static var version: [UInt8] {
    var event = TensorBoardEvent(step: 0)
    event.message.add(3, text: "brain.Event:2")
    return event.message.bytes
  }

  init(step: Int64) {
    message.add(1, double: TensorBoardEvent.now)
    message.add(2, integer: step)
  }

  /// Adds a number.
  mutating func add(_ tag: String, _ number: Float) {
    var value = ProtobufMessage()
    value.add(1, text: tag)
    value.add(2, float: number)
    summary.add(1, message: value)
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
    var proto = ProtobufMessage()
    proto.add(1, double: GradientHistogram.exponents(ofBin: first).lower)
    proto.add(2, double: GradientHistogram.exponents(ofBin: last).upper)
    proto.add(3, double: counts.reduce(0, +))
    proto.add(4, double: zip(counts[range], middles).reduce(0) { $0 + $1.0 * $1.1 })
    proto.add(5, double: zip(counts[range], middles).reduce(0) { $0 + $1.0 * $1.1 * $1.1 })
    // A limit with nothing below it is where the first bar begins.
    proto.add(
      6,
      doubles: [GradientHistogram.exponents(ofBin: first).lower]
        + range.map { GradientHistogram.exponents(ofBin: $0).upper })
    proto.add(7, doubles: [0] + counts[range])
    var value = ProtobufMessage()
    value.add(1, text: tag)
    value.add(5, message: proto)
    summary.add(1, message: value)
  }

  /// The record.
  var bytes: [UInt8] {
    var whole = message
    whole.add(5, message: summary)
    return whole.bytes
  }

  /// Seconds since 1970.
  static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}
