package import KeelBackend

/// What is tuned: an operation with its extents.
package enum TuningSubject: Hashable, Sendable {
  case matmul(MatmulGeometry)
  case convolution2D(Convolution2DGeometry, Convolution2DDirection)

  package var operation: OperationName {
    switch self {
    case .matmul: .matmul
    case .convolution2D: .convolution2D
    }
  }

  /// Programs whose texts decide what a choice means.
  var programs: [String] {
    let stems = operation == .matmul ? ["matmul"] : ["convolution2d", "matmul"]
    return KernelSource.embedded.keys.filter { name in
      name.hasPrefix("prelude") || stems.contains { name == $0 || name.hasPrefix($0 + "_") }
    }.sorted()
  }

  package func shapeClass(isCPUClass: Bool) -> ShapeClass {
    switch self {
    case .matmul(let geometry): ShapeClass(geometry, isCPUClass: isCPUClass)
    case .convolution2D(let geometry, let direction):
      ShapeClass(geometry, direction, isCPUClass: isCPUClass)
    }
  }
}

extension TuningSubject: Codable {
  private enum CodingKeys: String, CodingKey {
    case matmul, convolution2d, direction
  }

  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    if let geometry = try values.decodeIfPresent(MatmulGeometry.self, forKey: .matmul) {
      self = .matmul(geometry)
    } else {
      self = .convolution2D(
        try values.decode(Convolution2DGeometry.self, forKey: .convolution2d),
        try values.decode(Convolution2DDirection.self, forKey: .direction))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .matmul(let geometry): try values.encode(geometry, forKey: .matmul)
    case .convolution2D(let geometry, let direction):
      try values.encode(geometry, forKey: .convolution2d)
      try values.encode(direction, forKey: .direction)
    }
  }
}

extension TuningSubject: CustomStringConvertible {
  package var description: String {
    switch self {
    case .matmul(let geometry): return "matmul \(geometry)"
    case .convolution2D(let g, let direction):
      let groups = g.groups == 1 ? "" : " in \(g.groups) groups"
      return
        "convolution2d \(direction), \(g.batch) of \(g.height) x \(g.width) x \(g.inChannels), "
        + "\(g.kernelHeight) x \(g.kernelWidth) taps to \(g.outChannels)\(groups), "
        + "stride \(g.strideHeight)"
    }
  }
}

/// The shapes that share one tuned choice: equal forms, and extents within the same powers of two.
///
/// A bucket n+ holds the extents from n to 2n - 1, n a power of two.
package struct ShapeClass: Hashable, Sendable {
  /// The operation, the class of device, then forms and buckets.
  private let features: SIMD16<UInt8>

  /// Transposed operands; buckets of matrices of a batch, rows, inner axis, columns.
  package init(_ geometry: MatmulGeometry, isCPUClass: Bool) {
    var features = SIMD16<UInt8>(repeating: 0)
    features[0] = isCPUClass ? 1 : 0
    features[2] = geometry.transposeLeft ? 1 : 0
    features[3] = geometry.transposeRight ? 1 : 0
    features[4] = Self.bucket(geometry.batch)
    features[5] = Self.bucket(geometry.rows)
    features[6] = Self.bucket(geometry.inner)
    features[7] = Self.bucket(geometry.columns)
    self.features = features
  }

  /// Direction, taps, steps; buckets of groups, channels on both sides, and pixels of the result.
  package init(
    _ geometry: Convolution2DGeometry, _ direction: Convolution2DDirection, isCPUClass: Bool
  ) {
    var features = SIMD16<UInt8>(repeating: 0)
    features[0] = isCPUClass ? 1 : 0
    features[1] = 1
    features[2] = UInt8(Convolution2DDirection.allCases.firstIndex(of: direction) ?? 0)
    features[3] = UInt8(clamping: geometry.kernelHeight)
    features[4] = UInt8(clamping: geometry.kernelWidth)
    features[5] = UInt8(clamping: geometry.strideHeight)
    features[6] = UInt8(clamping: geometry.strideWidth)
    features[7] = UInt8(clamping: geometry.dilationHeight)
    features[8] = UInt8(clamping: geometry.dilationWidth)
    features[9] = Self.bucket(geometry.groups)
    features[10] = Self.bucket(geometry.inChannels)
    features[11] = Self.bucket(geometry.outChannels)
    features[12] = Self.bucket(geometry.batch * geometry.outHeight * geometry.outWidth)
    self.features = features
  }

  /// One more than the logarithm to base 2; 0 for nothing.
  private static func bucket(_ extent: Int) -> UInt8 {
    extent <= 0 ? 0 : UInt8(Int.bitWidth - extent.leadingZeroBitCount)
  }
}

extension ShapeClass {
  /// As two words: sixteen bytes one by one would take the time of a launch's arguments.
  private var words: SIMD2<UInt64> { unsafeBitCast(features, to: SIMD2<UInt64>.self) }

  package static func == (left: ShapeClass, right: ShapeClass) -> Bool { left.words == right.words }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(words.x)
    hasher.combine(words.y)
  }
}

extension ShapeClass: CustomStringConvertible {
  /// The key in a file, such as `cpu: rows 64+, inner 512+, columns 128+, batch 1+`.
  package var description: String {
    func bucket(_ index: Int) -> String {
      features[index] == 0 ? "0" : "\(1 << (Int(features[index]) - 1))+"
    }
    let device = features[0] == 1 ? "cpu" : "gpu"
    if features[1] == 0 {
      return "\(device): rows \(bucket(5))\(features[2] == 1 ? "'" : ""), inner \(bucket(6)), "
        + "columns \(bucket(7))\(features[3] == 1 ? "'" : ""), batch \(bucket(4))"
    }
    let direction = Convolution2DDirection.allCases[Int(features[2])]
    return "\(device): \(direction), taps \(features[3]) x \(features[4]), "
      + "stride \(features[5]) x \(features[6]), dilation \(features[7]) x \(features[8]), "
      + "groups \(bucket(9)), channels \(bucket(10)) to \(bucket(11)), pixels \(bucket(12))"
  }
}
