import Glibc
import KeelData
import Testing

@Suite struct FetchTests {
  static let content: [UInt8] = {
    var numbers = TestNumbers(state: 6)
    return numbers.bytes(300_000)
  }()
  static let other = Array("labels".utf8)
  static let files = ["images": content, "labels": other]
  static let catalog = ["labels", "images"].map { name in
    let bytes = files[name] ?? []
    return FetchFile(name, bytes.count, SHA256.digest(of: bytes).description)
  }

  func fetch(_ servers: FileServer..., to scratch: Scratch) -> DataError? {
    dataError {
      try DataFetch.fetch(Self.catalog, from: servers.map(\.address), to: scratch.path)
    }
  }

  func isWhole(_ scratch: Scratch) throws -> Bool {
    try DataFile.read(scratch.file("images")) == Self.content
      && DataFile.read(scratch.file("labels")) == Self.other
      && !scratch.contains("images.part") && !scratch.contains("labels.part")
  }

  @Test func filesArriveAndAreNotFetchedTwice() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    let folder = scratch.file("new/folder")
    let paths = try DataFetch.fetch(Self.catalog, from: [server.address + "/"], to: folder)
    #expect(paths == ["\(folder)/labels", "\(folder)/images"])
    #expect(try DataFile.read("\(folder)/images") == Self.content)
    #expect(server.requests.map(\.path) == ["labels", "images"])
    try DataFetch.fetch(Self.catalog, from: [server.address], to: folder)
    #expect(server.requests.count == 2)
  }

  @Test func progressRisesToTheWhole() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    var seen: [FetchProgress] = []
    try DataFetch.fetch(Self.catalog, from: [server.address], to: scratch.path) { progress in
      seen.append(progress)
      return true
    }
    let images = seen.filter { $0.file == "images" }
    #expect(images.map(\.received) == images.map(\.received).sorted())
    #expect(images.last?.received == 300_000 && images.last?.total == 300_000)
    #expect(images.allSatisfy { $0.fileIndex == 1 && $0.fileCount == 2 })
  }

  @Test func brokenConnectionsAreResumed() throws {
    let (server, scratch) = (FileServer(Self.files, fault: .dropsOnce(after: 100_000)), Scratch())
    let images = [Self.catalog[1]]
    let error = dataError {
      try DataFetch.fetch(images, from: [server.address], to: scratch.path)
    }
    #expect(error?.kind == .network)
    #expect(!scratch.contains("images"))
    #expect(try DataFile.read(scratch.file("images.part")).count == 100_000)
    try DataFetch.fetch(images, from: [server.address], to: scratch.path)
    #expect(try DataFile.read(scratch.file("images")) == Self.content)
    #expect(server.requests.map(\.offset) == [nil, 100_000])
  }

  @Test func anotherMirrorGoesOnWhereOneBroke() throws {
    let broken = FileServer(Self.files, fault: .dropsOnce(after: 200_000))
    let (sound, scratch) = (FileServer(Self.files), Scratch())
    try DataFetch.fetch(
      [Self.catalog[1]], from: [broken.address, sound.address], to: scratch.path)
    #expect(try DataFile.read(scratch.file("images")) == Self.content)
    #expect(sound.requests.map(\.offset) == [200_000])
  }

  @Test func serversWithoutRangesStartAgain() throws {
    let (server, scratch) = (FileServer(Self.files, fault: .ignoresRanges), Scratch())
    try DataFile.write(Array(Self.content[..<1000]), to: scratch.file("images.part"))
    #expect(fetch(server, to: scratch) == nil)
    #expect(try isWhole(scratch))
  }

  @Test(arguments: [1000, 299_999, 300_000, 300_001, 500_000])
  func wrongPartsAreThrownAway(length: Int) throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    try DataFile.write([UInt8](repeating: 7, count: length), to: scratch.file("images.part"))
    #expect(fetch(server, to: scratch) == nil)
    #expect(try isWhole(scratch))
  }

  @Test func wholePartsAreKept() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    try DataFile.write(Self.content, to: scratch.file("images.part"))
    #expect(fetch(server, to: scratch) == nil)
    #expect(try isWhole(scratch))
    #expect(server.requests.map(\.path) == ["labels"])
  }

  @Test(arguments: [FileServer.Fault.hasNothing, .corrupts, .appends])
  func badMirrorsAreSkippedAndNamed(fault: FileServer.Fault) throws {
    let (bad, sound) = (FileServer(Self.files, fault: fault), FileServer(Self.files))
    let scratch = Scratch()
    let error = fetch(bad, to: scratch)
    #expect(error?.kind == .network)
    #expect(error?.problem.contains(bad.address) == true)
    #expect(!scratch.contains("labels") && !scratch.contains("labels.part"))
    #expect(fetch(bad, sound, to: scratch) == nil)
    #expect(try isWhole(scratch))
  }

  @Test func silentAddressesAreNamed() throws {
    let scratch = Scratch()
    let error = dataError {
      try DataFetch.fetch(Self.catalog, from: ["http://127.0.0.1:1"], to: scratch.path)
    }
    #expect(error?.kind == .network)
    #expect(!scratch.contains("labels.part"))
  }

  @Test func stoppingKeepsThePart() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    let images = [Self.catalog[1]]
    let error = dataError {
      try DataFetch.fetch(images, from: [server.address], to: scratch.path) {
        $0.received < 50_000
      }
    }
    #expect(error?.kind == .cancelled)
    #expect(!scratch.contains("images"))
    let kept = try DataFile.read(scratch.file("images.part"))
    #expect(kept.count >= 50_000 && kept == Array(Self.content[..<kept.count]))
    #expect(fetch(server, to: scratch) == nil)
    #expect(try isWhole(scratch))
  }

  @Test func otherFilesAreNotReplaced() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    try DataFile.write([1, 2, 3], to: scratch.file("labels"))
    #expect(fetch(server, to: scratch)?.kind == .checksum)
    #expect(try DataFile.read(scratch.file("labels")) == [1, 2, 3])
  }

  @Test func twoDownloadsOfOneFileExclude() throws {
    let (server, scratch) = (FileServer(Self.files), Scratch())
    let descriptor = open(scratch.file("labels.part"), O_RDWR | O_CREAT, 0o644)
    #expect(flock(descriptor, LOCK_EX) == 0)
    #expect(fetch(server, to: scratch)?.kind == .inaccessible)
    close(descriptor)
    #expect(fetch(server, to: scratch) == nil)
  }

  @Test func badTargetsAreNamed() throws {
    let scratch = Scratch()
    try DataFile.write([1], to: scratch.file("file"))
    func kind(_ folder: String, _ mirror: String = "http://127.0.0.1:1") -> DataError.Kind? {
      dataError { try DataFetch.fetch(Self.catalog, from: [mirror], to: folder) }?.kind
    }
    #expect(kind(scratch.file("file")) == .inaccessible)
    #expect(kind(scratch.file("file/below")) == .inaccessible)
    #expect(kind("/proc/nowhere/data") != nil)
    #expect(kind(scratch.path, "file:///etc") == .outOfRange)
  }

  @Test func missingLibraryIsExplained() {
    let error = dataError { _ = try CurlLibrary(named: ["libcurl-that-is-not-there.so.4"]) }
    #expect(error?.kind == .unavailable)
    #expect(error?.remedy?.contains("libcurl4") == true)
  }

  @Test func theCatalogIsPlausible() {
    for dataset in FetchableDataset.allCases {
      #expect(dataset.files.count == 4)
      #expect(!dataset.mirrors.isEmpty)
      for file in dataset.files {
        #expect(file.name.hasSuffix(".gz") && file.size > 4000)
        #expect(file.sha256.count == 64 && file.sha256.allSatisfy(\.isHexDigit))
      }
    }
  }

  /// The sums of the files that are here are those of the catalog.
  @Test func theCatalogFitsTheRealFiles() throws {
    guard let folder = getenv("KEEL_MNIST").map({ String(cString: $0) }) else {
      print("skipped: sums of the real MNIST files (KEEL_MNIST names no folder)")
      return
    }
    for file in FetchableDataset.mnist.files where DataFile.exists("\(folder)/\(file.name)") {
      let bytes = try DataFile.read("\(folder)/\(file.name)")
      #expect(bytes.count == file.size)
      #expect(SHA256.digest(of: bytes).description == file.sha256)
    }
  }
}
