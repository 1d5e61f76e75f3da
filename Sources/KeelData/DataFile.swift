import Glibc

/// Whole files in and out, with a fault sentence for everything that can go wrong.
package enum DataFile {
  /// The largest file that is read, 4 GiB.
  package static let largest = 1 << 32

  /// All bytes of a regular file.
  ///
  /// - Throws: ``DataError`` when it is missing, not a file, larger than `limit` or unreadable.
  package static func read(_ path: String, limit: Int = largest) throws(DataError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure("cannot be opened", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("cannot be examined", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw DataError(.malformed, "is not a regular file", path: path)
    }
    let size = Int(status.st_size)
    guard size <= limit else {
      throw DataError(.tooLarge, "has \(size) bytes, the limit is \(limit)", path: path)
    }
    var bytes = [UInt8](repeating: 0, count: size)
    var done = 0
    while done < size {
      let count = bytes.withUnsafeMutableBytes { all in
        let rest = UnsafeMutableRawBufferPointer(rebasing: all[done...])
        return Glibc.read(descriptor, rest.baseAddress, rest.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("cannot be read", path) }
      guard count > 0 else {
        throw DataError(.malformed, "became shorter while it was read", path: path, offset: done)
      }
      done += count
    }
    return bytes
  }

  /// Writes a file so that its name shows either the old content or all of the new.
  ///
  /// The bytes go into a new file beside it, are flushed to the disk, and are renamed.
  ///
  /// - Parameter isDurable: whether the file is to survive a failure of power too, rather than that
  ///   of the process alone; it is then waited for.
  package static func write(
    _ bytes: [UInt8], to path: String, isDurable: Bool = true
  ) throws(DataError) {
    let temporary = "\(path).\(getpid()).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw DataError(
        .inaccessible, "cannot be created: \(String(cString: strerror(errno)))", path: path)
    }
    var renamed = false
    defer {
      close(descriptor)
      if !renamed { unlink(temporary) }
    }
    guard writeAll(bytes, to: descriptor), !isDurable || fsync(descriptor) == 0 else {
      throw failure("cannot be written", path)
    }
    guard rename(temporary, path) == 0 else { throw failure("cannot be put in place", path) }
    renamed = true
  }

  /// Makes a folder and those above it.
  package static func makeFolder(_ path: String) throws(DataError) {
    var prefix = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      prefix += prefix.isEmpty || prefix.hasSuffix("/") ? String(part) : "/\(part)"
      if mkdir(prefix, 0o755) != 0 && errno != EEXIST {
        throw DataError(
          .inaccessible, "cannot be created: \(String(cString: strerror(errno)))", path: prefix)
      }
    }
    guard isFolder(path) else {
      throw DataError(.inaccessible, "is a file, not a folder", path: path)
    }
  }

  /// Whether there is anything of this name.
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether there is a folder of this name.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The error for the system call that has just failed.
  static func failure(_ problem: String, _ path: String) -> DataError {
    let code = errno
    if code == ENOENT { return DataError(.missing, "does not exist", path: path) }
    return DataError(.inaccessible, "\(problem): \(String(cString: strerror(code)))", path: path)
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { writeAll($0, to: descriptor) }
  }

  /// Writes every byte; false leaves the reason in `errno`.
  package static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, start + done, bytes.count - done)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }
}
