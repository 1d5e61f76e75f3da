import Testing

/// Data that cannot be used: the file, what is wrong with it, exit 2, nothing written.
@Suite struct DataInputTests {
  /// Sixty random-looking pictures and their labels as IDX files.
  struct Files {
    static let count = 60
    var images: [UInt8]
    var labels: [UInt8]

    init() {
      let pixels = (0..<Self.count * 784).map { UInt8(truncatingIfNeeded: $0 &* 37 ^ ($0 >> 5)) }
      images = Self.header([Self.count, 28, 28]) + pixels
      labels = Self.header([Self.count]) + (0..<Self.count).map { UInt8($0 % 10) }
    }

    static func header(_ extents: [Int]) -> [UInt8] {
      [0, 0, 8, UInt8(extents.count)]
        + extents.flatMap { extent in
          [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: extent >> $0) }
        }
    }
  }

  /// A fault of the files and a part of the sentence that it gets.
  struct Fault: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let sentence: String
    let change: @Sendable (inout Files) -> Void

    init(_ name: String, _ sentence: String, _ change: @escaping @Sendable (inout Files) -> Void) {
      testDescription = name
      self.sentence = sentence
      self.change = change
    }
  }

  static let faults = [
    Fault("truncated images", "t10k-images-idx3-ubyte, byte 16: is cut off") {
      $0.images.removeLast(9000)
    },
    Fault("truncated header", "t10k-images-idx3-ubyte, byte 7: ends within the header") {
      $0.images = Array($0.images.prefix(7))
    },
    Fault("more than announced", "byte 47056: 1 bytes follow") { $0.images.append(0) },
    Fault("not IDX", "t10k-labels-idx1-ubyte, byte 0: is not an IDX file") {
      $0.labels = Array("five zero four one nine two one three one four".utf8)
    },
    Fault("wrong magic", "t10k-images-idx3-ubyte, byte 0: is not an IDX file") { $0.images[0] = 1 },
    Fault("wrong type", "byte 2: holds 32-bit floats") { $0.images[2] = 13 },
    Fault("exchanged files", "byte 3: has 1 axes, images have 3 or 4") {
      swap(&$0.images, &$0.labels)
    },
    Fault("a label too few", "holds 59 labels for the 60 images") {
      $0.labels = Files.header([59]) + $0.labels.dropFirst(8).dropLast()
    },
    Fault("a label out of range", "label 11 of example 59 is outside 0 ..< 10") {
      $0.labels[8 + 59] = 11
    },
    Fault("no examples", "byte 4: axis 0 has extent 0") {
      $0.images = Files.header([0, 28, 28])
      $0.labels = Files.header([0])
    },
    Fault("an empty file", "t10k-images-idx3-ubyte: is empty") { $0.images = [] },
    Fault("an absurd size", "announces 4294967295x4294967295x4294967295 bytes") {
      $0.images = [0, 0, 8, 3] + [UInt8](repeating: 255, count: 12)
    },
  ]

  @Test("Damaged files", arguments: faults)
  func refusesFiles(_ fault: Fault) throws {
    let bench = Workbench()
    var files = Files()
    fault.change(&files)
    try bench.write(files.images, to: "data/t10k-images-idx3-ubyte")
    try bench.write(files.labels, to: "data/t10k-labels-idx1-ubyte")
    let outcome = try bench.keel([
      "train", "--device", "cpu", "--data", "data", "--train", "40", "--test", "20", "--out", "run",
    ])
    expectRefusal(outcome, saying: fault.sentence)
    #expect(try bench.names() == ["data"])
    #expect(bench.bytes("data/t10k-images-idx3-ubyte") == files.images)
  }

  @Test("Missing files and folders")
  func refusesMissing() throws {
    let bench = Workbench()
    func train() throws -> Outcome {
      try bench.keel("train", "--device", "cpu", "--data", "data", "--out", "run")
    }
    expectRefusal(try train(), saying: "data: does not exist", "keel data fetch")
    try bench.write([1], to: "data/notes.txt")
    expectRefusal(try train(), saying: "data: holds neither train- nor t10k-")
    let files = Files()
    try bench.write(files.images, to: "data/t10k-images-idx3-ubyte")
    expectRefusal(try train(), saying: "without its partner t10k-labels-idx1-ubyte")
    try bench.write(files.labels, to: "data/t10k-labels-idx1-ubyte")
    expectRefusal(try train(), saying: "holds only the t10k pair", "--train N --test N")
    #expect(try bench.names() == ["data"])
  }

  @Test("A split that asks for too much")
  func refusesSplit() throws {
    let bench = Workbench()
    let files = Files()
    try bench.write(files.images, to: "data/t10k-images-idx3-ubyte")
    try bench.write(files.labels, to: "data/t10k-labels-idx1-ubyte")
    let outcome = try bench.keel(
      "train", "--device", "cpu", "--data", "data", "--train", "40", "--test", "30", "--out", "run")
    expectRefusal(outcome, saying: "40 training and 30 test examples are more than the 60")
    #expect(try bench.names() == ["data"])
  }
}
