import FoundationEssentials
import KeelBackend
import KeelData
import Testing

/// Whole batches: equal bytes whoever makes them, mixing, and the written form.
@Suite struct AugmentationBatchTests {
  /// Every step at once.
  private static func everything(_ mixing: Augmentation.Step? = nil) throws -> Augmentation {
    try Augmentation(
      steps: [
        .crop(padding: 2, border: .reflect), .shift(1), .flip(.horizontal), .flip(.vertical),
        .rotate(degrees: 15, border: .edge), .zoom(0.9...1.2), .elastic(strength: 8, smoothness: 2),
        .brightness(0.1), .contrast(0.8...1.2), .erase(side: 3), .noise(deviation: 0.05),
      ] + (mixing.map { [$0] } ?? []))
  }

  private static func digits(_ count: Int = 23) throws -> Dataset {
    try SyntheticDigits.dataset(.train, count: count, seed: 4)
  }

  private static func loader(
    _ augmentation: Augmentation?, batchSize: Int = 5, shuffle: UInt64? = 9, seed: UInt64 = 3,
    workers: Int = 2
  ) throws -> BatchLoader {
    try BatchLoader(
      digits(), batchSize: batchSize, shuffleSeed: shuffle, augmentation: augmentation,
      augmentationSeed: seed, workers: workers)
  }

  /// The features of each example of two epochs, by epoch and place.
  private static func byPlace(_ loader: BatchLoader) -> [[Int32: [Float]]] {
    (0..<2).map { epoch in
      var found: [Int32: [Float]] = [:]
      for batch in loader.batches(epoch: epoch) {
        let values = batch.features.normalized
        for (row, place) in batch.places.enumerated() {
          found[place] = Array(values[(row * 784)..<((row + 1) * 784)])
        }
      }
      return found
    }
  }

  @Test(arguments: [nil, Augmentation.Step.mixUp(alpha: 1), .cutMix(alpha: 1)])
  func bytesDoNotDependOnTheWorkers(mixing: Augmentation.Step?) throws {
    let augmentation = try Self.everything(mixing)
    let batches = try [1, 2, 5].map {
      Array(try Self.loader(augmentation, workers: $0).batches(epoch: 1))
    }
    #expect(batches[0].count == 5)
    #expect(batches[0] == batches[1] && batches[0] == batches[2])
  }

  @Test func bytesDoNotDependOnTheOrderOfBatches() throws {
    let augmentation = try Self.everything()
    let whole = Self.byPlace(try Self.loader(augmentation))
    for (size, shuffle) in [(1, nil), (7, 9), (23, 1)] as [(Int, UInt64?)] {
      let other = Self.byPlace(
        try Self.loader(augmentation, batchSize: size, shuffle: shuffle, workers: 3))
      #expect(other == whole)
    }
    // Fresh in each epoch and for each seed, example and image.
    #expect(whole[0].allSatisfy { whole[1][$0] != $1 })
    let other = Self.byPlace(try Self.loader(augmentation, seed: 4))
    #expect(whole[0].allSatisfy { other[0][$0] != $1 })
  }

  @Test(arguments: [Augmentation.Step.mixUp(alpha: 0.4), .cutMix()])
  func resumedStreamsAreEqual(mixing: Augmentation.Step) throws {
    let loader = try Self.loader(Self.everything(mixing))
    let end = BatchPosition(epoch: 2)
    let whole = Array(loader.batches(from: BatchPosition(epoch: 0), to: end, ahead: 3))
    #expect(whole.count == 10)
    for start in [1, 4, 5, 8] {
      let again = try Self.loader(Self.everything(mixing), workers: 1)
      #expect(
        Array(again.batches(from: whole[start].position, to: end)) == Array(whole[start...]))
    }
  }

  /// The bytes are part of the format of a run: a resumed run on another machine needs them.
  @Test func bytesAreFixedForGood() throws {
    let loader = try Self.loader(Self.everything(.mixUp(alpha: 1)))
    guard case .bytes(let bytes) = loader.batch(at: BatchPosition(epoch: 1, step: 2)).features
    else {
      Issue.record("bytes became numbers")
      return
    }
    #expect(
      "\(SHA256.digest(of: bytes))"
        == "4334f135cd3aa68057bccc7a43682a7457b6ed7bc1f04206fd8a4dc99e3b4972")
  }

  @Test func keysOfExamplesDiffer() {
    var keys: Set<RandomKey> = []
    for example in [0, 1, 0xFF_FFFF, 0x100_0000, 0x100_0001, 0x7FFF_FFFF] {
      for epoch in [0, 1, 100_000] {
        keys.insert(Augmentation.key(seed: 1, epoch: epoch, example: example))
      }
    }
    #expect(keys.count == 18)
  }

  /// Steps of size zero, and draws that change nothing, leave every bit.
  @Test func nothingChangesNoByte() throws {
    let steps: [Augmentation.Step] = [
      .crop(padding: 0), .shift(0), .flip(.horizontal, probability: 0), .rotate(degrees: 0),
      .zoom(1...1), .elastic(strength: 0, smoothness: 1), .brightness(0), .contrast(1...1),
      .erase(side: 0), .noise(deviation: 0), .mixUp(alpha: 1, probability: 0),
    ]
    let nothing = try Augmentation(steps: steps)
    let plain = Array(try Self.loader(nil).batches(epoch: 0))
    #expect(Array(try Self.loader(nothing).batches(epoch: 0)) == plain)
    let odd: [Float] = [-0.0, .nan, Float(bitPattern: 0x7FA0_0001), .infinity, -3, 1e30]
    let data = try Dataset(features: odd, extents: [2, 3, 1], labels: [0], classCount: 1)
    let batch = try BatchLoader(data, batchSize: 1, augmentation: nothing)
      .batch(at: BatchPosition(epoch: 0))
    #expect(batch.features.normalized.map(\.bitPattern) == odd.map(\.bitPattern))
  }

  @Test func rangesAndLabelsAreKept() throws {
    let loader = try Self.loader(Self.everything())
    let plain = try Self.loader(nil)
    for (changed, original) in zip(loader.batches(epoch: 0), plain.batches(epoch: 0)) {
      #expect(changed.labels == original.labels && changed.places == original.places)
      #expect(changed.shape == original.shape && changed.mix == nil)
      #expect(changed.features != original.features)
    }
    // Numbers keep 0 ... 1, or what they have; NaN stays NaN.
    let data = try Dataset(
      features: [-2, 0, .nan, 5, 0.5, 1], extents: [3, 1, 1], labels: [0, 0], classCount: 1)
    let noisy = try BatchLoader(
      data, batchSize: 2, augmentation: Augmentation(.noise(deviation: 9)))
    for epoch in 0..<50 {
      let values = noisy.batch(at: BatchPosition(epoch: epoch)).features.normalized
      #expect(values[2].isNaN && values[..<2].allSatisfy { (-2...1).contains($0) })
      #expect(values[3...].allSatisfy { (0...5).contains($0) })
    }
  }

  @Test func mixUpBlendsWithAPartner() throws {
    let plain = try Self.digits()
    var weights: [Float] = []
    for batch in try Self.loader(Augmentation(.mixUp(alpha: 1)), batchSize: 8).batches(epoch: 0) {
      let mix = try #require(batch.mix)
      #expect(mix.places.sorted() == batch.places.sorted())
      #expect(mix.labels == mix.places.map { plain.labels[Int($0)] })
      weights.append(mix.weight)
      let values = batch.features.normalized
      for row in 0..<batch.count {
        let own = plain.example(at: Int(batch.places[row])).normalized
        let other = plain.example(at: Int(mix.places[row])).normalized
        for place in 0..<784 {
          let blend = mix.weight * own[place] + (1 - mix.weight) * other[place]
          let difference = values[row * 784 + place] - blend
          #expect(abs(difference) < 0.5 / 255 + 1e-5)
        }
      }
    }
    #expect(Set(weights).count == 3)
  }

  @Test func cutMixPutsABoxOfAPartner() throws {
    // Each example is one number everywhere, so that pixels tell whose they are.
    let data = try Dataset(
      features: (0..<6).flatMap { [Float](repeating: Float($0) + 1, count: 60) },
      extents: [6, 10, 1], labels: [0, 1, 2, 0, 1, 2], classCount: 3)
    let loader = try BatchLoader(data, batchSize: 6, augmentation: Augmentation(.cutMix()))
    var shares: [Float] = []
    for epoch in 0..<300 {
      let batch = loader.batch(at: BatchPosition(epoch: epoch))
      let mix = try #require(batch.mix)
      let values = batch.features.normalized
      shares.append(mix.weight)
      for row in 0..<6 where mix.places[row] != batch.places[row] {
        let foreign = (0..<60).filter { values[row * 60 + $0] == Float(mix.places[row]) + 1 }
        let own = (0..<60).count { values[row * 60 + $0] == Float(batch.places[row]) + 1 }
        #expect(foreign.count + own == 60)
        #expect(abs(Float(own) / 60 - mix.weight) < 1e-6)
        let (rows, columns) = (Set(foreign.map { $0 / 10 }), Set(foreign.map { $0 % 10 }))
        #expect(rows.count * columns.count == foreign.count, "a box is full")
        if let first = rows.min(), let last = rows.max() { #expect(last - first + 1 == rows.count) }
      }
    }
    // Boxes are cut at the edges, so more than half is left on average.
    let mean = shares.reduce(0, +) / 300
    #expect(mean > 0.5 && mean < 0.8)
    #expect((shares.min() ?? 1) < 0.4 && (shares.max() ?? 0) > 0.95)
  }

  @Test func mixingHappensWithItsProbability() throws {
    let data = try DatasetTests.numbered(4)
    let loader = try BatchLoader(
      data, batchSize: 4, augmentation: Augmentation(.mixUp(alpha: 1, probability: 0.25)))
    let count = (0..<1000).count { loader.batch(at: BatchPosition(epoch: $0)).mix != nil }
    #expect(abs(count - 250) < 55)
  }

  @Test func theWrittenFormNamesTheSame() throws {
    let text =
      "crop=4:reflect,shift=2,shift=1:3:edge,flip=horizontal,flip=vertical@0.25,"
      + "rotate=12.5:edge,zoom=0.9:1.1,elastic=34:4,brightness=0.1,contrast=0.5:2@0.1,"
      + "erase=6,noise=0.05,cutmix=1@0.5"
    let augmentation = try Augmentation(parsing: text)
    #expect(augmentation.description == text)
    #expect(augmentation.steps[2].change == .shift(columns: 1, rows: 3, border: .edge))
    #expect(augmentation.steps[3].probability == 0.5)
    #expect(augmentation.mixing == .cutMix(probability: 0.5))
    #expect(augmentation.flipsHorizontally)
    #expect(try Augmentation(parsing: "zoom=0.25") == Augmentation(.zoom(0.75...1.25)))
    #expect(try !Augmentation(.flip(.vertical)).flipsHorizontally)
    #expect(try !Augmentation(parsing: "flip=horizontal@0").flipsHorizontally)
    let awkward = try Augmentation(
      .init(.rotate(degrees: 0.1 + 0.2, border: .zero), probability: 1 / 3))
    #expect(try Augmentation(parsing: awkward.description) == awkward)
    let coded = try JSONEncoder().encode([augmentation])
    #expect(try JSONDecoder().decode([Augmentation].self, from: coded) == [augmentation])
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode([Augmentation].self, from: Data("[\"rotate=500\"]".utf8))
    }
  }

  @Test(arguments: [
    ("", "one of crop"), ("twist=3", "'twist=3': requires one of crop"), ("shift", "whole number"),
    ("shift=1.5", "whole number"), ("shift=1:2:3", "whole number"), ("rotate=x", "rotate=number"),
    ("rotate=10@", "after @"), ("flip=left", "flip=horizontal or flip=vertical"),
    ("rotate=200", "degrees 200 is outside 0 ... 180"), ("noise=nan", "deviation nan is outside"),
    ("shift=-1", "columns -1 is outside"), ("zoom=1.2:0.8", "largest factor 0.8 is outside 1.2"),
    ("zoom=0:1", "smallest factor 0 is outside 0.01 ... 100"), ("brightness=2", "outside 0 ... 1"),
    ("erase=4@1.5", "probability 1.5 is outside"), ("mixup=0", "alpha 0 is outside"),
    ("elastic=3:0", "smoothness 0 is outside"), ("mixup=1,shift=2", "mixup=1 comes before shift=2"),
    ("cutmix=1,mixup=1", "comes before"), ("shift=2,,flip=vertical", "one of crop"),
  ])
  func badStepsAreRefused(text: String, saying words: String) {
    let error = dataError { _ = try Augmentation(parsing: text) }
    #expect(error?.description.contains(words) == true, "\(text): \(error?.description ?? "-")")
  }

  @Test func stepsThatDoNotFitTheDataAreRefused() throws {
    func refusal(_ data: Dataset, _ step: Augmentation.Step) throws -> String {
      let augmentation = try Augmentation(step)
      let error = dataError { _ = try BatchLoader(data, batchSize: 2, augmentation: augmentation) }
      return error?.description ?? ""
    }
    let rows = try DatasetTests.numbered(4)
    #expect(try refusal(rows, .flip(.vertical)).contains("requires images"))
    #expect(try refusal(rows, .cutMix()).contains("requires images"))
    #expect(try refusal(rows, .noise(deviation: 1)).isEmpty)
    #expect(try refusal(rows, .mixUp()).isEmpty)
    #expect(try refusal(Self.digits(), .shift(28)).contains("out of the frame"))
    #expect(try refusal(Self.digits(), .crop(padding: 28)).contains("out of the frame"))
    #expect(try refusal(Self.digits(), .shift(27)).isEmpty)
    #expect(dataError { _ = try Augmentation(steps: []) }?.kind == .empty)
    #expect(dataError { _ = try Self.loader(nil, workers: 0) }?.kind == .outOfRange)
  }
}
