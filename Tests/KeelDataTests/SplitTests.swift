import KeelBackend
import KeelData
import Testing

@Suite struct SplitTests {
  /// Example `i` holds the number i; classes are of unequal size, sorted by class.
  private static func uneven() throws -> Dataset {
    let sizes = [50, 31, 7, 2, 13]
    let labels = sizes.indices.flatMap { Array(repeating: Int32($0), count: sizes[$0]) }
    return try Dataset(
      features: labels.indices.map(Float.init), extents: [1], labels: labels, classCount: 6)
  }

  private static func numbers(_ data: Dataset) -> [Int] {
    data.gather(0..<Int32(data.count)).features.normalized.map { Int($0) }
  }

  private static func expectDivided(
    _ whole: Dataset, _ train: Dataset, _ test: Dataset,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let together = numbers(train) + numbers(test)
    #expect(together.sorted() == numbers(whole).sorted(), sourceLocation: sourceLocation)
    let labels = whole.labels
    for part in [train, test] {
      #expect(part.labels == numbers(part).map { labels[$0] }, sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [0.1, 0.25, 0.5, 0.8, 0.97], [nil, 0, 7] as [UInt64?])
  func stratifiedPartsKeepTheClassRatio(fraction: Double, seed: UInt64?) throws {
    let whole = try Self.uneven()
    let (train, test) = try whole.split(trainFraction: fraction, stratified: true, seed: seed)
    Self.expectDivided(whole, train, test)
    #expect(train.count == Int(103 * fraction))
    for (count, all) in zip(train.classCounts, whole.classCounts) {
      #expect(abs(Double(count) - Double(all) * Double(train.count) / 103) < 1)
    }
    let again = try whole.split(trainFraction: fraction, stratified: true, seed: seed)
    #expect(Self.numbers(again.train) == Self.numbers(train))
    #expect(Self.numbers(again.test) == Self.numbers(test))
    if seed == nil {
      #expect(Self.numbers(train) == Self.numbers(train).sorted())
    } else {
      #expect(Self.numbers(train) != Self.numbers(train).sorted())
    }
  }

  @Test func sortedSplitsWarnOfMissingClasses() throws {
    let mixed = try Self.uneven().shuffled(seed: 2)
    let split = try mixed.sortedSplit(trainFraction: 0.5)
    #expect(split.train.labels == Array(repeating: 0, count: 50) + [1])
    #expect(split.test.labels == split.test.labels.sorted())
    #expect(
      (Self.numbers(split.train) + Self.numbers(split.test)).sorted() == Array(0..<103))
    let warning = try #require(split.warning)
    #expect(warning.missingClasses == [2, 3, 4] && warning.presentClasses == 5)
    #expect(warning.description.hasPrefix("the training part lacks 3 of 5 classes: 2, 3, 4;"))
    // Equal keys stay in the order of the set.
    let zeros = Self.numbers(mixed).filter { $0 < 50 }
    #expect(Array(Self.numbers(split.train).prefix(50)) == zeros)
  }

  @Test func sortedSplitsTakeAnyKey() throws {
    let mixed = try Self.uneven().shuffled(seed: 2)
    let numbers = Self.numbers(mixed)
    let split = try mixed.sortedSplit(trainFraction: 0.25) { -numbers[$0] }
    #expect(Self.numbers(split.train) == (78..<103).reversed())
    #expect(split.warning?.missingClasses == [0])
    // A key that is not related to the class misses none.
    let even = try DatasetTests.numbered(30).sortedSplit(trainFraction: 0.5) { $0 }
    #expect(even.warning == nil && DatasetTests.firsts(even.train) == Array(0..<15))
  }

  @Test func repeatedSplitsAreIndependentAndRepeatable() throws {
    let whole = try Self.uneven()
    for stratified in [false, true] {
      let splits = try whole.repeatedSplits(
        count: 1000, trainFraction: 0.1, stratified: stratified, seed: 6)
      #expect(splits.count == 1000)
      var tested = [Int](repeating: 0, count: 103)
      for split in splits.prefix(400) {
        Self.expectDivided(whole, split.train, split.test)
        #expect(split.train.count == 10)
        for number in Self.numbers(split.train) { tested[number] += 1 }
      }
      #expect(Set(splits.prefix(400).map { Self.numbers($0.train) }).count == 400)
      if !stratified {
        // Each example trains in 38.8 of 400: 102 degrees of freedom, 149 once in a thousand; the
        // variance of draws without replacement is smaller.
        let expected = 4000.0 / 103
        let statistic = tested.reduce(0) {
          $0 + (Double($1) - expected) * (Double($1) - expected) / expected
        }
        #expect(statistic < 149)
      }
      // Number 977 alone is the same as after the others.
      let other = try whole.repeatedSplits(
        count: 1000, trainFraction: 0.1, stratified: stratified, seed: 6)
      #expect(Self.numbers(splits[977].train) == Self.numbers(other[977].train))
      let seeded = try whole.repeatedSplits(
        count: 1, trainFraction: 0.1, stratified: stratified, seed: 7)
      #expect(Self.numbers(seeded[0].train) != Self.numbers(splits[0].train))
    }
  }

  @Test(arguments: [2, 3, 10, 103], [false, true])
  func foldsTestEachExampleOnce(k: Int, stratified: Bool) throws {
    let whole = try Self.uneven()
    for seed in [nil, 5] as [UInt64?] {
      let folds = try whole.folds(k, stratified: stratified, seed: seed)
      #expect(folds.count == k)
      #expect(folds.flatMap { Self.numbers($0.test) }.sorted() == Array(0..<103))
      for fold in folds {
        Self.expectDivided(whole, fold.train, fold.test)
        #expect(fold.test.count == 103 / k || fold.test.count == 103 / k + 1)
        guard stratified else { continue }
        for (count, all) in zip(fold.test.classCounts, whole.classCounts) {
          #expect(abs(Double(count) - Double(all) / Double(k)) < 1)
        }
      }
      let again = try whole.folds(k, stratified: stratified, seed: seed)
      #expect(again.map { Self.numbers($0.test) } == folds.map { Self.numbers($0.test) })
    }
    let plain = try whole.folds(2)
    #expect(Self.numbers(plain[0].test) == Array(0..<52))
  }

  @Test func shufflesArePermutationsThatALoaderFollows() throws {
    let whole = try Self.uneven()
    let loader = try BatchLoader(whole, batchSize: 10, shuffleSeed: 12)
    for epoch in 0..<3 {
      let shuffled = whole.shuffled(seed: 12, epoch: epoch)
      #expect(Self.numbers(shuffled) == loader.order(epoch: epoch).map { Int($0) })
      #expect(Self.numbers(shuffled).sorted() == Array(0..<103))
    }
  }

  @Test func badSplitsAreRefused() throws {
    let whole = try Self.uneven()
    for fraction in [0, 1, -1, .nan] {
      #expect(
        dataError { _ = try whole.split(trainFraction: fraction, stratified: true) }?.kind
          == .outOfRange)
      #expect(dataError { _ = try whole.sortedSplit(trainFraction: fraction) }?.kind == .outOfRange)
      let repeated = dataError {
        _ = try whole.repeatedSplits(count: 3, trainFraction: fraction, seed: 0)
      }
      #expect(repeated?.kind == .outOfRange)
    }
    #expect(dataError { _ = try whole.sortedSplit(trainFraction: 0.001) }?.kind == .empty)
    for k in [Int.min, -1, 0, 1, 104, .max] {
      #expect(dataError { _ = try whole.folds(k) }?.kind == .outOfRange)
    }
    let none = dataError { _ = try whole.repeatedSplits(count: 0, trainFraction: 0.5, seed: 0) }
    #expect(none?.kind == .outOfRange)
  }

  // MARK: leaks

  @Test func overlapIsFoundByContent() throws {
    let whole = try DatasetTests.numbered(40)
    let (train, test) = try whole.split(trainFraction: 0.75, seed: 1)
    #expect(train.overlap(with: test).count == 0)
    try train.requireDisjoint(from: test)
    let leaky = try whole[25..<40]
    let shared = leaky.overlap(with: try whole[0..<30])
    #expect(shared.count == 5)
    #expect(shared.pairs.map(\.place) == [0, 1, 2, 3, 4])
    #expect(shared.pairs.map(\.equal) == [25, 26, 27, 28, 29])
    do {
      try whole.requireDisjoint(from: whole)
      Issue.record("every file is in both sets")
    } catch {
      #expect(error.shared.count == 40 && error.total == 40)
      #expect(error.shared.pairs.count == SharedContent.shown)
      let text = "40 of 40 examples also occur in the other set (0 = 0, 1 = 1,"
      #expect(error.description.hasPrefix(text) && error.description.contains("7 = 7, …)"))
    }
  }

  @Test func overlapLooksAtNumbersAlone() throws {
    // Other labels and another form of the same numbers.
    let bytes = try Dataset(
      images: [0, 51, 255, 102], height: 1, width: 2, labels: [0, 1], classCount: 2)
    let floats = try Dataset(
      features: [0.5, 0.5, 1, 0.4], extents: [1, 2, 1], labels: [0, 0], classCount: 2)
    #expect(bytes.overlap(with: floats).pairs.map { [$0.place, $0.equal] } == [[1, 1]])
    #expect(floats.overlap(with: bytes).count == 1)
    let flat = try Dataset(
      features: [0.5, 0.5, 1, 0.4], extents: [2], labels: [0, 0], classCount: 2)
    #expect(flat.overlap(with: floats).count == 0, "other shapes are other examples")
  }

  @Test func duplicatesAreReportedAndNoError() throws {
    let data = try Dataset(
      images: [1, 2, 3, 1, 1, 3, 9], height: 1, width: 1, labels: [0, 0, 0, 1, 0, 0, 0],
      classCount: 2)
    let found = data.duplicates()
    #expect(found.count == 3)
    #expect(found.pairs.map(\.place) == [3, 4, 5] && found.pairs.map(\.equal) == [0, 0, 2])
    try data[0..<3].requireDisjoint(from: data[6..<7])
    #expect(try data[1..<4].duplicates().count == 0)
    #expect(try data[2..<6].duplicates().pairs.map(\.equal) == [1, 0])
  }

  // MARK: facts

  @Test func kindsAreDeclaredAndInherited() throws {
    let drawn = try SyntheticDigits.dataset(.train, count: 20)
    #expect(drawn.kind == .digits)
    #expect(try drawn.split(trainFraction: 0.5, seed: 1).test.kind == .digits)
    var other = try DatasetTests.numbered(5)
    #expect(other.kind == .unspecified)
    other.kind = .digits
    #expect(try other[0..<2].kind == .digits)
  }

  @Test func labelsWithoutAnOutputAreNamed() throws {
    let data = try Self.uneven()
    #expect(data.labelProblem(outputs: 5) == nil)
    #expect(
      data.labelProblem(outputs: 3)
        == "label 3 of example 88 is outside 0 ..< 3, the outputs of the model; "
        + "so are 15 of 103 labels")
    #expect(data.labelProblem(outputs: 0)?.contains("103 of 103") == true)
    #expect(
      Dataset.labelProblem([0, 1, -4], classCount: 2) == "label -4 of example 2 is outside 0 ..< 2")
  }
}
