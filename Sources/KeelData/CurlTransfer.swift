import CCurl
import Glibc

/// libcurl, loaded when first needed.
package struct CurlLibrary: Sendable {
  // Safe: the C side writes this struct once, before it hands it out.
  nonisolated(unsafe) private let functions: OpaquePointer

  private static let installed = Result { () throws(DataError) in
    try CurlLibrary(named: ["libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"])
  }

  /// The library of this machine.
  package static func shared() throws(DataError) -> CurlLibrary { try installed.get() }

  /// The first of the named libraries that loads.
  package init(named names: [String]) throws(DataError) {
    for name in names {
      if let functions = keel_curl_open(name) {
        self.functions = functions
        return
      }
    }
    throw DataError(
      .unavailable, "downloading needs libcurl (\(names[0])), which is not installed",
      remedy: "install it (Debian, Ubuntu: apt install libcurl4), or copy the files there by hand")
  }

  /// Appends the bytes of `address` from `offset` on to an open file.
  ///
  /// - Parameters:
  ///   - limit: the count of bytes that may be appended; more ends the transfer.
  ///   - isWanted: called often with the bytes appended so far; false ends the transfer.
  func transfer(
    _ address: String, from offset: Int, limit: Int, into descriptor: Int32,
    while isWanted: @escaping (Int) -> Bool
  ) -> TransferOutcome {
    let sink = TransferSink(descriptor: descriptor, limit: limit, isWanted: isWanted)
    var result = keel_curl_result()
    address.withCString { url in
      "keel".withCString { agent in
        withExtendedLifetime(sink) {
          var request = keel_curl_request(
            url: url, user_agent: agent, offset: Int64(offset),
            write: { TransferSink.from($0).take(UnsafeRawBufferPointer(start: $1, count: $2)) },
            progress: { TransferSink.from($0).goesOn ? 0 : 1 },
            context: Unmanaged.passUnretained(sink).toOpaque())
          keel_curl_get(functions, &request, &result)
        }
      }
    }
    return outcome(of: sink, result)
  }

  private func outcome(of sink: TransferSink, _ result: keel_curl_result) -> TransferOutcome {
    if sink.isStopped { return .stopped }
    if let error = sink.writeError { return .cannotWrite(error) }
    if sink.isOverfull { return .tooLong }
    let status = Int(result.status)
    switch Int(result.code) {
    case KEEL_CURL_OK: return .complete
    case KEEL_CURL_RANGE_ERROR: return .cannotResume
    case KEEL_CURL_HTTP_ERROR where status == 416: return .cannotResume
    case KEEL_CURL_HTTP_ERROR: return .failed("the server answered \(status)")
    default:
      let text = withUnsafeBytes(of: result.message) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      return .failed(text)
    }
  }
}

/// How a transfer ended.
enum TransferOutcome: Equatable {
  /// The server sent all it has.
  case complete
  /// The server does not continue from this offset.
  case cannotResume
  /// More bytes came than the file has.
  case tooLong
  /// The caller no longer wants it.
  case stopped
  /// The disk refused, with the `errno`.
  case cannotWrite(Int32)
  /// Anything else, in words.
  case failed(String)
}

/// Takes the bytes of one transfer.
private final class TransferSink {
  private let descriptor: Int32
  private let limit: Int
  private let isWanted: (Int) -> Bool
  private var taken = 0
  private(set) var isStopped = false
  private(set) var isOverfull = false
  private(set) var writeError: Int32?

  init(descriptor: Int32, limit: Int, isWanted: @escaping (Int) -> Bool) {
    self.descriptor = descriptor
    self.limit = limit
    self.isWanted = isWanted
  }

  static func from(_ context: UnsafeMutableRawPointer?) -> TransferSink {
    guard let context else { fatalError("libcurl lost the transfer's context") }
    return Unmanaged<TransferSink>.fromOpaque(context).takeUnretainedValue()
  }

  var goesOn: Bool {
    if !isStopped, !isWanted(taken) { isStopped = true }
    return !isStopped
  }

  /// Writes the bytes straight to the file, so that a killed process loses nothing.
  func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard taken + bytes.count <= limit else {
      isOverfull = true
      return 0
    }
    guard DataFile.writeAll(bytes, to: descriptor) else {
      writeError = errno
      return 0
    }
    taken += bytes.count
    return goesOn ? bytes.count : 0
  }
}
