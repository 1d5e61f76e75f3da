import KeelBackend
import KeelData
import Testing

@Suite struct SyntheticDigitsTests {
  func sum(_ dataset: Dataset) -> String {
    let (features, labels) = dataset.gather(0..<Int32(dataset.count))
    var sum = SHA256()
    features.withUnsafeBytes { sum.update($0) }
    labels.map { UInt8($0) }.withUnsafeBytes { sum.update($0) }
    return sum.finish().description
  }

  /// The bytes never change: accuracies in reports refer to them.
  @Test func theBytesAreFixedForGood() throws {
    let (train, test) = try SyntheticDigits.trainAndTest()
    #expect(train.count == 6000 && test.count == 1000)
    #expect(train.exampleShape == [28, 28, 1])
    #expect(sum(train) == "89e1880ec857c47cdce6e647db7eb47ccd8ae989e95d5d3264711ad8b49bbae8")
    #expect(sum(test) == "d6902b22e597f980876960c7d5f9bdf6b938741baddcdeedc32c6b3afb91be77")
  }

  @Test func eachImageStandsAlone() throws {
    let dataset = try SyntheticDigits.dataset(.test, count: 200, seed: 9)
    for index in [0, 63, 64, 199] {
      let (label, image) = SyntheticDigits.image(.test, index: index, seed: 9)
      #expect(dataset.example(at: index) == .bytes(image.pixels))
      #expect(dataset.labels[index] == label)
    }
    #expect(sum(try SyntheticDigits.dataset(.test, count: 200, seed: 9)) == sum(dataset))
    #expect(sum(try SyntheticDigits.dataset(.test, count: 200, seed: 10)) != sum(dataset))
  }

  @Test func partsShareNothingAndClassesAreEven() throws {
    let (train, test) = try SyntheticDigits.trainAndTest(train: 3000, test: 1000, seed: 1)
    #expect(train.overlap(with: test).count == 0)
    #expect(train.classCounts.allSatisfy { (220...380).contains($0) })
  }

  @Test func badCountsAreRefused() {
    #expect(dataError { _ = try SyntheticDigits.trainAndTest(train: 0) }?.kind == .empty)
    #expect(dataError { _ = try SyntheticDigits.trainAndTest(test: -5) }?.kind == .empty)
    #expect(dataError { _ = try SyntheticDigits.dataset(.train, count: .max) }?.kind == .tooLarge)
  }
}
