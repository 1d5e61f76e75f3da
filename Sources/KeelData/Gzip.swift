import CZlib

/// Decompresses one gzip member held in memory, never more than it is asked for.
///
/// A class because zlib remembers the address of its state.
final class Gunzip {
  private let bytes: [UInt8]
  private let path: String
  private let state: UnsafeMutablePointer<z_stream>
  private var consumed = 0
  private var ended = false

  /// Deflate cannot expand a byte into more than this many (1032 by design of the format).
  static let largestRatio = 1032

  /// Whether the bytes begin as gzip does.
  static func recognizes(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1F, 0x8B]) }

  init(_ bytes: [UInt8], path: String) throws(DataError) {
    self.bytes = bytes
    self.path = path
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    // 15 + 16: the largest window, and a gzip header with its CRC.
    let code = inflateInit2_(state, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard code == Z_OK else { throw DataError(.unavailable, "zlib does not start: \(code)") }
  }

  deinit {
    inflateEnd(state)
    state.deallocate()
  }

  /// The next `count` bytes, or fewer where the content ends.
  func read(_ count: Int) throws(DataError) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: count)
    var produced = 0
    while produced < count, !ended {
      let (code, taken, made) = step(&output, from: produced)
      consumed += taken
      produced += made
      switch code {
      case Z_STREAM_END: ended = true
      case Z_OK where taken + made > 0: break
      case Z_OK, Z_BUF_ERROR:
        throw DataError(
          .malformed, "the compressed content is cut off", path: path, offset: consumed,
          remedy: "get the file again")
      default:
        throw DataError(
          .malformed, "the compressed content is damaged (zlib \(code))", path: path,
          offset: consumed, remedy: "get the file again")
      }
    }
    output.removeLast(count - produced)
    return output
  }

  /// Requires that content and file end here; checks the CRC on the way.
  func finish() throws(DataError) {
    guard try read(1).isEmpty else {
      throw DataError(
        .malformed, "more content follows than the header announces", path: path, offset: consumed)
    }
    guard consumed == bytes.count else {
      throw DataError(
        .malformed, "\(bytes.count - consumed) bytes follow the compressed content", path: path,
        offset: consumed)
    }
  }

  private func step(
    _ output: inout [UInt8], from start: Int
  ) -> (code: Int32, taken: Int, made: Int) {
    // zlib counts in 32 bits.
    let most = 1 << 30
    let given = min(bytes.count - consumed, most)
    let room = min(output.count - start, most)
    let code = bytes.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { target in
        // zlib reads through this pointer only; its type lacks the const.
        state.pointee.next_in = UnsafeMutablePointer(
          mutating: UnsafeBufferPointer(rebasing: input[consumed...]).baseAddress)
        state.pointee.avail_in = UInt32(given)
        state.pointee.next_out = UnsafeMutableBufferPointer(rebasing: target[start...]).baseAddress
        state.pointee.avail_out = UInt32(room)
        return inflate(state, Z_NO_FLUSH)
      }
    }
    return (code, given - Int(state.pointee.avail_in), room - Int(state.pointee.avail_out))
  }
}

/// The bytes as one gzip member.
package func gzipped(_ bytes: [UInt8]) throws(DataError) -> [UInt8] {
  var state = z_stream()
  let started = deflateInit2_(
    &state, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
    Int32(MemoryLayout<z_stream>.size))
  guard started == Z_OK else { throw DataError(.unavailable, "zlib does not start: \(started)") }
  defer { deflateEnd(&state) }
  var (input, code) = (bytes, Z_OK)
  let bound = Int(deflateBound(&state, UInt(bytes.count)))
  let output = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
    input.withUnsafeMutableBufferPointer { source in
      state.next_in = source.baseAddress
      state.avail_in = UInt32(source.count)
      state.next_out = target.baseAddress
      state.avail_out = UInt32(bound)
      code = deflate(&state, Z_FINISH)
    }
    count = bound - Int(state.avail_out)
  }
  guard code == Z_STREAM_END else { throw DataError(.unavailable, "zlib fails: \(code)") }
  return output
}
