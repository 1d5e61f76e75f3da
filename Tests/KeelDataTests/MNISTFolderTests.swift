import Glibc
import KeelBackend
import KeelData
import Testing

@Suite struct MNISTFolderTests {
  /// Writes a pair whose image `i` consists of the byte `first + i` and has the label `i % 10`.
  func writePair(
    _ pair: String, _ count: Int, in scratch: Scratch, ending: String = "", first: Int = 0
  )
    throws
  {
    let images = (0..<count).flatMap { [UInt8](repeating: UInt8(first + $0), count: 6) }
    try IDXArray(extents: [count, 2, 3], bytes: images)
      .write(to: scratch.file("\(pair)-images-idx3-ubyte\(ending)"))
    try IDXArray(extents: [count], bytes: (0..<count).map { UInt8($0 % 10) })
      .write(to: scratch.file("\(pair)-labels-idx1-ubyte\(ending)"))
  }

  func firstBytes(_ dataset: Dataset) -> [UInt8] {
    (0..<dataset.count).map { place in
      dataset.example(at: place).withUnsafeBytes { $0[0] }
    }
  }

  @Test(arguments: ["", ".gz"])
  func bothPairsAreLoaded(ending: String) throws {
    let scratch = Scratch()
    try writePair("train", 20, in: scratch, ending: ending)
    try writePair("t10k", 7, in: scratch, ending: ending, first: 100)
    let (train, test) = try MNISTFolder(scratch.path).loadTrainAndTest()
    #expect(train.count == 20 && test.count == 7)
    #expect(train.exampleShape == [2, 3, 1])
    #expect(firstBytes(test) == Array(100..<107))
    #expect(train.overlap(with: test).count == 0)
    let some = try MNISTFolder(scratch.path).loadTrainAndTest(train: 5, test: 2)
    #expect(firstBytes(some.train) == Array(0..<5))
    #expect(train.kind == .unspecified, "other sets have the form of MNIST too")
    #expect(firstBytes(some.test) == Array(100..<102))
  }

  @Test func onePairIsSplit() throws {
    let scratch = Scratch()
    try writePair("t10k", 30, in: scratch, ending: ".gz")
    let folder = try MNISTFolder(scratch.path)
    #expect(folder.pairs == [.t10k])
    let (train, test) = try folder.loadTrainAndTest(train: 20, test: 8)
    #expect(firstBytes(train) == Array(0..<20))
    #expect(firstBytes(test) == Array(20..<28))
    #expect(try folder.loadTrainAndTest(train: 20).test.count == 10)
    #expect(try folder.loadTrainAndTest(test: 4).train.count == 26)
    let drawn = try folder.loadTrainAndTest(train: 20, test: 10, seed: 3)
    #expect(Set(firstBytes(drawn.train) + firstBytes(drawn.test)) == Set(0..<30))
    #expect(firstBytes(drawn.train) != Array(0..<20))
    #expect(dataError { _ = try folder.loadTrainAndTest() }?.remedy?.contains("--train N") == true)
    #expect(dataError { _ = try folder.loadTrainAndTest(train: 30) }?.kind == .empty)
    #expect(dataError { _ = try folder.loadTrainAndTest(test: 31) }?.kind == .empty)
    #expect(dataError { _ = try folder.loadTrainAndTest(train: 25, test: 6) }?.kind == .outOfRange)
    #expect(
      dataError { _ = try folder.loadTrainAndTest(train: .max, test: .max) }?.kind == .outOfRange)
    #expect(dataError { _ = try folder.load(.train) }?.kind == .missing)
  }

  @Test func dottedNamesAreFound() throws {
    let scratch = Scratch()
    try writePair("train", 3, in: scratch)
    for kind in ["images-idx3", "labels-idx1"] {
      let dotted = kind.split(separator: "-").joined(separator: ".")
      #expect(
        rename(scratch.file("train-\(kind)-ubyte"), scratch.file("train-\(dotted)-ubyte")) == 0)
    }
    #expect(try MNISTFolder(scratch.path).load(.train).count == 3)
  }

  @Test func badFoldersAreNamed() throws {
    let scratch = Scratch()
    #expect(dataError { _ = try MNISTFolder(scratch.file("none")) }?.kind == .missing)
    #expect(dataError { _ = try MNISTFolder(scratch.path) }?.kind == .missing)
    try writePair("train", 4, in: scratch)
    #expect(
      dataError { _ = try MNISTFolder(scratch.file("train-images-idx3-ubyte")) }?.kind == .malformed
    )
    unlink(scratch.file("train-labels-idx1-ubyte"))
    let lonely = dataError { _ = try MNISTFolder(scratch.path) }
    #expect(lonely?.kind == .missing)
    #expect(lonely?.problem.contains("train-labels-idx1-ubyte") == true)
  }

  @Test func pairsThatDisagreeAreNamed() throws {
    let scratch = Scratch()
    try writePair("train", 4, in: scratch)
    let folder = try MNISTFolder(scratch.path)
    let (images, labels) = (
      scratch.file("train-images-idx3-ubyte"), scratch.file("train-labels-idx1-ubyte")
    )
    try IDXArray(extents: [5], bytes: [0, 1, 2, 3, 4]).write(to: labels)
    let counts = dataError { _ = try folder.load(.train) }
    #expect(counts?.kind == .mismatch)
    #expect(counts?.description.contains("5 labels for the 4 images") == true)
    try IDXArray(extents: [4], bytes: [0, 1, 10, 3]).write(to: labels)
    let range = dataError { _ = try folder.load(.train) }
    #expect(range?.kind == .outOfRange)
    #expect(range?.description == "\(labels): label 10 of example 2 is outside 0 ..< 10")
    #expect(try folder.load(.train, classCount: 11).classCount == 11)
    try IDXArray(extents: [4, 1], bytes: [0, 1, 2, 3]).write(to: labels)
    #expect(dataError { _ = try folder.load(.train) }?.path == labels)
    try IDXArray(extents: [4], bytes: [0, 1, 2, 3]).write(to: images)
    #expect(dataError { _ = try folder.load(.train) }?.path == images)
  }

  /// The real test set, where `KEEL_MNIST` names a folder that holds it.
  @Test func theRealTestSetLoads() throws {
    guard let path = getenv("KEEL_MNIST").map({ String(cString: $0) }) else {
      print("skipped: the real MNIST files (KEEL_MNIST names no folder)")
      return
    }
    let whole = try MNISTFolder(path).load(.t10k)
    #expect(whole.count == 10_000)
    #expect(whole.exampleShape == [28, 28, 1])
    #expect(whole.classCounts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    #expect(whole.labels.prefix(5) == [7, 2, 1, 0, 4])
    #expect(whole.kind == .digits)
    let (train, test) = try MNISTFolder(path).loadTrainAndTest(train: 6000, test: 2000)
    #expect(train.overlap(with: test).count == 0)
  }
}
