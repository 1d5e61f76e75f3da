import Dispatch
import Glibc
import Synchronization

/// A small HTTP server on this machine with the faults that mirrors have.
final class FileServer: Sendable {
  /// What the server does wrong.
  enum Fault: Sendable {
    /// Nothing.
    case none
    /// Closes the connection after this many bytes of the first body.
    case dropsOnce(after: Int)
    /// Answers a range with the whole file.
    case ignoresRanges
    /// Answers everything with 404 and a page.
    case hasNothing
    /// Sends a file whose first byte is changed.
    case corrupts
    /// Sends one byte more than the file has.
    case appends
  }

  /// One request as it came.
  struct Request: Sendable, Equatable {
    let path: String
    let offset: Int?
  }

  let address: String
  private let listener: Int32
  private let files: [String: [UInt8]]
  private let fault: Fault
  private let log = Mutex<[Request]>([])

  init(_ files: [String: [UInt8]], fault: Fault = .none) {
    // A proxy of the surroundings must not answer for this machine.
    setenv("no_proxy", "127.0.0.1", 1)
    self.files = files
    self.fault = fault
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let (socket, size) = (listener, length)
    let isOpen = withUnsafeMutableBytes(of: &name) { bytes -> Bool in
      guard let start = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else {
        return false
      }
      return bind(socket, start, size) == 0 && listen(socket, 16) == 0
        && getsockname(socket, start, &length) == 0
    }
    guard isOpen else { fatalError("no local server: \(errno)") }
    address = "http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
    let server = Unowned(self)
    Thread.detach { server.accept(on: socket) }
  }

  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  /// The requests so far.
  var requests: [Request] { log.withLock { $0 } }

  /// The loop of the server's thread; keeps the server only while it answers.
  private struct Unowned: Sendable {
    weak let server: FileServer?

    init(_ server: FileServer) { self.server = server }

    func accept(on listener: Int32) {
      while true {
        let connection = Glibc.accept(listener, nil, nil)
        guard connection >= 0 else { break }
        server?.answer(connection)
        close(connection)
      }
      close(listener)
    }
  }

  private func answer(_ connection: Int32) {
    var head: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      head += buffer[..<count]
    }
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
    let path = lines[0].split(separator: " ")[1].dropFirst()
    let range = lines.first { $0.lowercased().hasPrefix("range: bytes=") }
    let offset = range.flatMap { Int($0.dropFirst(13).prefix { $0.isNumber }) }
    let isFirst = log.withLock { log in
      log.append(Request(path: String(path), offset: offset))
      return log.count == 1
    }
    guard var content = files[String(path)], !isFaulty(.hasNothing) else {
      return send(connection, "404 Not Found", [], Array("<html>nothing here</html>".utf8))
    }
    if isFaulty(.corrupts), !content.isEmpty { content[0] ^= 0xFF }
    if isFaulty(.appends) { content.append(0) }
    var (status, headers) = ("200 OK", [String]())
    if let offset, !isFaulty(.ignoresRanges) {
      guard offset < content.count else {
        return send(connection, "416 Range Not Satisfiable", [], [])
      }
      status = "206 Partial Content"
      headers = ["Content-Range: bytes \(offset)-\(content.count - 1)/\(content.count)"]
      content.removeFirst(offset)
    }
    var limit = content.count
    if case .dropsOnce(let after) = fault, isFirst { limit = after }
    send(connection, status, headers, content, limit: limit)
  }

  private func isFaulty(_ wanted: Fault) -> Bool {
    switch (fault, wanted) {
    case (.hasNothing, .hasNothing), (.corrupts, .corrupts), (.appends, .appends),
      (.ignoresRanges, .ignoresRanges):
      true
    default: false
    }
  }

  private func send(
    _ connection: Int32, _ status: String, _ headers: [String], _ body: [UInt8], limit: Int = .max
  ) {
    let lines = ["HTTP/1.1 \(status)", "Content-Length: \(body.count)", "Connection: close"]
    let head = (lines + headers).joined(separator: "\r\n") + "\r\n\r\n"
    let bytes = Array(head.utf8) + body.prefix(limit)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          connection, UnsafeRawBufferPointer(rebasing: $0[done...]).baseAddress,
          bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      done += count
    }
  }
}

/// A thread of its own: a blocked server must not take a worker from the tests.
private enum Thread {
  static func detach(_ body: @escaping @Sendable () -> Void) {
    DispatchQueue(label: "file-server").async(execute: body)
  }
}
