/// A folder with image and label files as MNIST has them, plain or `.gz`.
///
/// Either pair may be missing: `train-images-idx3-ubyte` with `train-labels-idx1-ubyte`, or
/// `t10k-images-idx3-ubyte` with `t10k-labels-idx1-ubyte`. A dot in the place of the hyphen before
/// `idx` is accepted too. Fashion-MNIST, KMNIST and other sets of this form load alike.
public struct MNISTFolder: Sendable {
  /// The pairs of files that a folder may hold.
  public enum Pair: String, Sendable, CaseIterable {
    /// The training pair.
    case train
    /// The test pair.
    case t10k
  }

  /// The folder.
  public let path: String
  /// The pairs that are there.
  public let pairs: [Pair]

  /// Looks for the pairs in a folder.
  ///
  /// - Throws: ``DataError`` when the folder or both pairs are missing, or one file of a pair is.
  public init(_ path: String) throws(DataError) {
    guard DataFile.exists(path) else {
      throw DataError(
        .missing, "does not exist", path: path,
        remedy: "name a folder with IDX files, or download one with `keel data fetch`")
    }
    guard DataFile.isFolder(path) else {
      throw DataError(.malformed, "is a file; name the folder that holds it", path: path)
    }
    self.path = path
    var pairs: [Pair] = []
    for pair in Pair.allCases {
      let images = Self.find(path, pair, "images", axes: 3)
      let labels = Self.find(path, pair, "labels", axes: 1)
      if images != nil, labels != nil {
        pairs.append(pair)
      } else if let found = images ?? labels {
        let lacking = images == nil ? "images-idx3" : "labels-idx1"
        throw DataError(
          .missing, "is there without its partner \(pair.rawValue)-\(lacking)-ubyte", path: found)
      }
    }
    guard !pairs.isEmpty else {
      throw DataError(
        .missing, "holds neither train- nor t10k- images-idx3-ubyte and labels-idx1-ubyte",
        path: path, remedy: "download them with `keel data fetch mnist --to DIR`")
    }
    self.pairs = pairs
  }

  /// All of one pair, in the order of the file. MNIST itself is known by its labels and declared
  /// as ``Dataset/Kind-swift.enum/digits``.
  ///
  /// - Throws: ``DataError`` when the pair is missing, a file is damaged, images and labels differ
  ///   in count, or a label lies outside 0 ..< `classCount`.
  public func load(_ pair: Pair, classCount: Int = 10) throws(DataError) -> Dataset {
    guard let imagePath = Self.find(path, pair, "images", axes: 3),
      let labelPath = Self.find(path, pair, "labels", axes: 1)
    else {
      throw DataError(.missing, "holds no \(pair.rawValue) pair", path: path)
    }
    let images = try IDXArray(file: imagePath)
    guard images.extents.count >= 3 else {
      throw DataError(
        .malformed, "has \(images.extents.count) axes, images have 3 or 4", path: imagePath,
        offset: 3)
    }
    let labels = try IDXArray(file: labelPath)
    guard labels.extents.count == 1 else {
      throw DataError(
        .malformed, "has \(labels.extents.count) axes, labels have 1", path: labelPath, offset: 3)
    }
    guard images.extents[0] == labels.extents[0] else {
      throw DataError(
        .mismatch,
        "holds \(labels.extents[0]) labels for the \(images.extents[0]) images of "
          + imagePath, path: labelPath, offset: 4)
    }
    var dataset = try Dataset(
      images: images.bytes, height: images.extents[1], width: images.extents[2],
      channels: images.extents.count == 4 ? images.extents[3] : 1,
      labels: labels.bytes.map(Int32.init), classCount: classCount, source: labelPath)
    if Self.isMNIST(labels.bytes) { dataset.kind = .digits }
    return dataset
  }

  /// Whether these are MNIST's labels: other sets of the form begin with other classes. By chance
  /// ten labels agree once in 10^10.
  private static func isMNIST(_ labels: [UInt8]) -> Bool {
    labels.starts(with: [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
      || labels.starts(with: [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
  }

  /// A training and a test set.
  ///
  /// With both pairs in the folder these are the first `train` and the first `test` examples of
  /// the pairs, all by default. One pair alone is split: its first `train` examples, and the
  /// `test` examples that follow; with a seed they are drawn in random order instead. When only
  /// one number is given, the other part gets the rest.
  ///
  /// - Throws: ``DataError`` as ``load(_:classCount:)``, and when there is too little.
  public func loadTrainAndTest(
    train: Int? = nil, test: Int? = nil, seed: UInt64? = nil, classCount: Int = 10
  ) throws(DataError) -> (train: Dataset, test: Dataset) {
    if pairs.count == 2 {
      let first = try load(.train, classCount: classCount)
      let second = try load(.t10k, classCount: classCount)
      guard first.exampleShape == second.exampleShape else {
        throw DataError(
          .mismatch,
          "training images are \(first.exampleShape), test images \(second.exampleShape)",
          path: path)
      }
      return (try first.start(train, seed: seed), try second.start(test, seed: seed))
    }
    let whole = try load(pairs[0], classCount: classCount)
    switch (train, test) {
    case (let train?, let test?): return try whole.split(train: train, test: test, seed: seed)
    case (let train?, nil):
      return try whole.split(train: train, test: whole.count - train, seed: seed)
    case (nil, let test?):
      return try whole.split(train: whole.count - test, test: test, seed: seed)
    case (nil, nil):
      throw DataError(
        .missing, "holds only the \(pairs[0].rawValue) pair, \(whole.count) examples", path: path,
        remedy: "say how to divide it with --train N --test N")
    }
  }

  private static func find(_ folder: String, _ pair: Pair, _ kind: String, axes: Int) -> String? {
    for separator in ["-", "."] {
      for ending in ["", ".gz"] {
        let name = "\(pair.rawValue)-\(kind)\(separator)idx\(axes)-ubyte\(ending)"
        let file = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
        if DataFile.exists(file) { return file }
      }
    }
    return nil
  }
}

extension Dataset {
  /// The first `count` examples, or everything; with a seed, of a random order.
  func start(_ count: Int?, seed: UInt64?) throws(DataError) -> Dataset {
    guard let count, count != self.count else { return self }
    guard seed != nil, count >= 1, count < self.count else { return try self[0..<max(0, count)] }
    return try split(train: count, test: self.count - count, seed: seed).train
  }
}
