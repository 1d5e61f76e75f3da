import Dispatch
import KeelBackend
import KeelData
import Testing

@Suite struct BatchLoaderTests {
  @Test func everyExampleComesOncePerEpoch() throws {
    let data = try DatasetTests.numbered(103)
    let loader = try BatchLoader(data, batchSize: 10, shuffleSeed: 5)
    #expect(loader.stepsPerEpoch == 11)
    var orders: [[Int32]] = []
    for epoch in 0..<3 {
      let batches = Array(loader.batches(epoch: epoch))
      #expect(batches.map(\.count) == Array(repeating: 10, count: 10) + [3])
      #expect(batches.map(\.position) == (0..<11).map { BatchPosition(epoch: epoch, step: $0) })
      orders.append(batches.flatMap(\.places))
      #expect(orders[epoch].sorted() == Array(0..<103))
      for batch in batches {
        #expect(batch.shape == [batch.count, 2])
        #expect(batch.features.normalized == batch.places.flatMap { [Float($0), -Float($0)] })
        #expect(batch.labels == batch.places.map { $0 % 3 })
      }
    }
    #expect(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2])
  }

  @Test func withoutSeedTheOrderStays() throws {
    let loader = try BatchLoader(DatasetTests.numbered(7), batchSize: 3)
    #expect(loader.batches(epoch: 4).flatMap(\.places) == Array(0..<7))
  }

  @Test func lastBatchCanBeDropped() throws {
    let data = try DatasetTests.numbered(7)
    let loader = try BatchLoader(data, batchSize: 3, dropLast: true)
    #expect(loader.stepsPerEpoch == 2)
    #expect(loader.batches(epoch: 0).map(\.count) == [3, 3])
    #expect(dataError { _ = try BatchLoader(data, batchSize: 8, dropLast: true) } != nil)
    #expect(try BatchLoader(data, batchSize: 8).stepsPerEpoch == 1)
    #expect(try BatchLoader(data, batchSize: .max).batches(epoch: 0).map(\.count) == [7])
  }

  @Test(arguments: [0, -1, Int.min])
  func badBatchSizesAreRefused(size: Int) throws {
    let data = try DatasetTests.numbered(7)
    #expect(dataError { _ = try BatchLoader(data, batchSize: size) }?.kind == .outOfRange)
  }

  /// Resuming anywhere gives what the uninterrupted run gives, however far it looks ahead.
  @Test(arguments: [1, 2, 3, 50])
  func streamsResumeAnywhere(ahead: Int) throws {
    let data = try DatasetTests.numbered(29)
    let end = BatchPosition(epoch: 3)
    let whole = Array(
      try BatchLoader(data, batchSize: 4, shuffleSeed: 1)
        .batches(from: BatchPosition(epoch: 0), to: end))
    #expect(whole.count == 24)
    for (index, batch) in whole.enumerated() {
      let loader = try BatchLoader(data, batchSize: 4, shuffleSeed: 1)
      let rest = Array(loader.batches(from: batch.position, to: end, ahead: ahead))
      #expect(rest == Array(whole[index...]))
    }
    let loader = try BatchLoader(data, batchSize: 4, shuffleSeed: 1)
    #expect(loader.batches(epoch: 1, from: 8).first { _ in true } == nil)
    let middle = loader.batches(
      from: BatchPosition(epoch: 0, step: 7), to: BatchPosition(epoch: 1, step: 2), ahead: ahead)
    #expect(middle.map(\.places) == whole[7..<10].map(\.places))
    #expect(middle.next() == nil)
  }

  @Test func batchesAreTheSameFromAnyThread() throws {
    let loader = try BatchLoader(DatasetTests.numbered(64), batchSize: 8, shuffleSeed: 77)
    let expected = (0..<64).map {
      loader.batch(at: BatchPosition(epoch: $0 / 8, step: $0 % 8)).places
    }
    DispatchQueue.concurrentPerform(iterations: 64) { number in
      let position = BatchPosition(epoch: number / 8, step: number % 8)
      #expect(loader.batch(at: position).places == expected[number])
    }
  }

  @Test func abandonedStreamsEndQuietly() throws {
    let loader = try BatchLoader(DatasetTests.numbered(64), batchSize: 8, shuffleSeed: 77)
    for _ in 0..<200 { _ = loader.batches(epoch: 0, ahead: 4).next() }
  }

  /// The order is part of the format of a run: a resumed run of an older version needs it.
  @Test func theOrderIsFixedForGood() throws {
    let loader = try BatchLoader(DatasetTests.numbered(10), batchSize: 10, shuffleSeed: 42)
    #expect(loader.order(epoch: 0) == [5, 1, 9, 3, 6, 2, 8, 7, 0, 4])
    #expect(loader.order(epoch: 1) == [8, 2, 5, 4, 0, 6, 9, 1, 7, 3])
  }

  /// Over many epochs each example visits each place about equally often (chi-squared, 9 degrees
  /// of freedom: 27.9 is exceeded by chance once in a thousand).
  @Test func placesAreEvenlyUsed() throws {
    let loader = try BatchLoader(DatasetTests.numbered(10), batchSize: 10, shuffleSeed: 3)
    var counts = [Int](repeating: 0, count: 10)
    for epoch in 0..<2000 { counts[Int(loader.order(epoch: epoch)[0])] += 1 }
    let statistic = counts.reduce(0.0) { $0 + Double(($1 - 200) * ($1 - 200)) / 200 }
    #expect(statistic < 27.9)
  }
}
