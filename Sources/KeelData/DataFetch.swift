import Glibc

/// Downloads data sets: resumed where an earlier attempt ended, checked by SHA-256, put in place
/// by one rename.
///
/// The bytes go into `NAME.part`. Only a file of the right size and sum gets its final name, so a
/// file without `.part` is whole. Stopping at any moment, even by a signal, loses nothing: the
/// next call goes on from the `.part` file.
public enum DataFetch {
  /// Downloads the files of a data set that are not there yet.
  ///
  /// - Parameters:
  ///   - folder: made when it does not exist.
  ///   - baseURL: the address of a folder to use instead of the public mirrors.
  ///   - progress: called often; false stops the download.
  /// - Returns: the paths of all files.
  /// - Throws: ``DataError`` when no mirror has a file with the right sum, a different file of the
  ///   same name is there, the disk refuses, or `progress` stopped it.
  @discardableResult
  public static func fetch(
    _ dataset: FetchableDataset, to folder: String, baseURL: String? = nil,
    progress: @escaping (FetchProgress) -> Bool = { _ in true }
  ) throws(DataError) -> [String] {
    try fetch(
      dataset.files, from: baseURL.map { [$0] } ?? dataset.mirrors, to: folder, progress: progress)
  }

  /// Downloads files from the first mirror that has them.
  @discardableResult
  package static func fetch(
    _ files: [FetchFile], from mirrors: [String], to folder: String,
    progress: @escaping (FetchProgress) -> Bool = { _ in true }
  ) throws(DataError) -> [String] {
    for mirror in mirrors {
      guard mirror.hasPrefix("http://") || mirror.hasPrefix("https://") else {
        throw DataError(.outOfRange, "is not an http or https address", path: mirror)
      }
    }
    try DataFile.makeFolder(folder)
    var paths: [String] = []
    for (index, file) in files.enumerated() {
      let path = folder.hasSuffix("/") ? folder + file.name : "\(folder)/\(file.name)"
      paths.append(path)
      if DataFile.exists(path) {
        try requireSame(path, as: file)
        continue
      }
      let curl = try CurlLibrary.shared()
      let download = try Download(file, to: path, by: curl) { received in
        progress(
          FetchProgress(
            file: file.name, fileIndex: index, fileCount: files.count, received: received,
            total: file.size))
      }
      try download.run(mirrors)
    }
    return paths
  }

  /// A file that is already there must be the right one; a different one is the user's to move.
  private static func requireSame(_ path: String, as file: FetchFile) throws(DataError) {
    guard try sum(of: path) == file.sha256 else {
      throw DataError(
        .checksum, "is already there with other content than \(file.name) should have", path: path,
        remedy: "choose another folder, or remove this file first")
    }
  }

  /// The SHA-256 sum of a file.
  package static func sum(of path: String) throws(DataError) -> String {
    SHA256.digest(of: try DataFile.read(path)).description
  }
}

/// The download of one file; holds its `.part` file open and locked.
private final class Download {
  private let file: FetchFile
  private let path: String
  private let part: String
  private let curl: CurlLibrary
  private let descriptor: Int32
  private let isWanted: (Int) -> Bool

  init(
    _ file: FetchFile, to path: String, by curl: CurlLibrary,
    while isWanted: @escaping (Int) -> Bool
  ) throws(DataError) {
    self.file = file
    self.path = path
    self.part = path + ".part"
    self.curl = curl
    self.isWanted = isWanted
    descriptor = open(part, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw DataFile.failure("cannot be created", part) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw DataError(
        .inaccessible, "is being written by another download", path: part,
        remedy: "wait until that one ends")
    }
  }

  deinit {
    // A download that never began leaves nothing behind.
    if size == 0 { unlink(part) }
    close(descriptor)
  }

  /// Tries each mirror in turn; what one has sent, the next need not.
  func run(_ mirrors: [String]) throws(DataError) {
    var faults: [String] = []
    for mirror in mirrors {
      let address = mirror.hasSuffix("/") ? mirror + file.name : "\(mirror)/\(file.name)"
      if let fault = try attempt(address) {
        faults.append("\(address): \(fault)")
      } else {
        return try putInPlace()
      }
    }
    throw DataError(
      .network, "could not be downloaded (\(faults.joined(separator: "; ")))", path: path,
      remedy: "check the connection and try again; it goes on where it stopped")
  }

  /// Fills the `.part` file from one address; returns what went wrong, nil when it is right.
  private func attempt(_ address: String) throws(DataError) -> String? {
    if size > file.size { try clear() }
    let resumed = size > 0
    if size < file.size {
      let start = size
      let outcome = curl.transfer(
        address, from: start, limit: file.size - start, into: descriptor
      ) { [isWanted] in isWanted(start + $0) }
      switch outcome {
      case .complete: break
      case .stopped:
        throw DataError(
          .cancelled, "stopped after \(size) of \(file.size) bytes", path: path,
          remedy: "run it again to go on from there")
      case .cannotWrite(let code):
        throw DataError(
          .inaccessible, "cannot be written: \(String(cString: strerror(code)))", path: part)
      case .cannotResume:
        guard resumed else { return "the server refuses the range" }
        try clear()
        return try attempt(address)
      case .tooLong:
        try clear()
        return "the file is longer than \(file.size) bytes"
      case .failed(let text): return text
      }
    }
    if size < file.size, !resumed || size == 0 {
      return "the file ends after \(size) of \(file.size) bytes"
    }
    if size == file.size, try DataFetch.sum(of: part) == file.sha256 { return nil }
    // Wrong bytes are worth nothing. When an earlier attempt left some of them, try afresh.
    try clear()
    return resumed ? try attempt(address) : "the SHA-256 sum differs"
  }

  private var size: Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  private func clear() throws(DataError) {
    guard ftruncate(descriptor, 0) == 0 else { throw DataFile.failure("cannot be emptied", part) }
  }

  private func putInPlace() throws(DataError) {
    guard fsync(descriptor) == 0, rename(part, path) == 0 else {
      throw DataFile.failure("cannot be put in place", path)
    }
  }
}
