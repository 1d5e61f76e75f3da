import KeelBackend
import KeelData
import Testing

@Suite struct DatasetTests {
  /// Example `i` holds the numbers i and -i and has the label i % 3.
  static func numbered(_ count: Int) throws -> Dataset {
    try Dataset(
      features: (0..<count).flatMap { [Float($0), -Float($0)] }, extents: [2],
      labels: (0..<count).map { Int32($0 % 3) }, classCount: 3)
  }

  static func firsts(_ dataset: Dataset) -> [Int] {
    let (features, _) = dataset.gather(0..<Int32(dataset.count))
    let values = features.normalized
    return stride(from: 0, to: values.count, by: 2).map { Int(values[$0]) }
  }

  @Test func slicesKeepExamplesAndLabelsTogether() throws {
    let whole = try Self.numbered(10)
    let part = try whole[3..<7]
    #expect(part.count == 4)
    #expect(Self.firsts(part) == [3, 4, 5, 6])
    #expect(part.labels == [0, 1, 2, 0])
    #expect(Self.firsts(try part[1..<3]) == [4, 5])
    #expect(part.classCounts == [2, 1, 1])
    #expect(try whole[0..<1].missingClasses == [1, 2])
    #expect(dataError { _ = try whole[3..<3] }?.kind == .empty)
    #expect(dataError { _ = try whole[3..<11] }?.kind == .outOfRange)
    #expect(dataError { _ = try whole[-1..<3] }?.kind == .outOfRange)
  }

  @Test func splitsAreDisjointAndRepeatable() throws {
    let whole = try Self.numbered(100)
    let plain = try whole.split(train: 60, test: 30)
    #expect(Self.firsts(plain.train) == Array(0..<60))
    #expect(Self.firsts(plain.test) == Array(60..<90))
    for seed in UInt64(0)..<5 {
      let (train, test) = try whole.split(trainFraction: 0.75, seed: seed)
      #expect(train.count == 75 && test.count == 25)
      #expect(Set(Self.firsts(train) + Self.firsts(test)).count == 100)
      #expect(train.overlap(with: test).count == 0)
      let again = try whole.split(trainFraction: 0.75, seed: seed)
      #expect(Self.firsts(again.train) == Self.firsts(train))
    }
    #expect(try whole[0..<10].overlap(with: try whole[5..<20]).count == 5)
  }

  @Test func badSplitsAreRefused() throws {
    let whole = try Self.numbered(10)
    for fraction in [0, 1, -0.5, 2, .nan, .infinity] {
      #expect(dataError { _ = try whole.split(trainFraction: fraction) }?.kind == .outOfRange)
    }
    #expect(dataError { _ = try whole.split(trainFraction: 0.01) }?.kind == .empty)
    #expect(dataError { _ = try whole.split(train: -1, test: 3) }?.kind == .empty)
    #expect(dataError { _ = try whole.split(train: 6, test: 5) }?.kind == .outOfRange)
  }

  @Test func badSetsAreRefused() {
    func kind(_ count: Int, _ extents: [Int], _ labels: [Int32], _ classes: Int) -> DataError.Kind?
    {
      dataError {
        _ = try Dataset(
          features: [Float](repeating: 0, count: count), extents: extents, labels: labels,
          classCount: classes)
      }?.kind
    }
    #expect(kind(0, [2], [], 3) == .empty)
    #expect(kind(5, [2], [0, 1], 3) == .mismatch)
    #expect(kind(4, [2], [0, 3], 3) == .outOfRange)
    #expect(kind(4, [2], [0, -1], 3) == .outOfRange)
    #expect(kind(4, [2], [0, 0], 0) == .outOfRange)
    #expect(kind(4, [0], [0, 0], 1) == .malformed)
    #expect(kind(4, [-2, -1], [0, 0], 1) == .malformed)
    #expect(kind(4, [.max, .max], [0, 0], 1) == .malformed)
  }

  @Test func bytesBecomeNumbersInTheUnitInterval() throws {
    let images = try Dataset(
      images: [0, 51, 255, 102], height: 1, width: 2, labels: [0, 1], classCount: 2)
    #expect(images.example(at: 0).normalized == [0, 0.2])
    #expect(images.example(at: 1) == .bytes([255, 102]))
  }

  @Test func errorsAreOneSentence() {
    let error = DataError(
      .malformed, "is cut off", path: "a/b", offset: 16, remedy: "get the file again")
    #expect(error.description == "a/b, byte 16: is cut off; get the file again")
    #expect(DataError(.empty, "holds no examples").description == "holds no examples")
  }
}
