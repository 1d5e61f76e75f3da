internal import KeelAutograd
internal import KeelBackend

/// What the telescope sees: norms, largest magnitudes, counts, histograms.
enum GradientTelescopeCases {
  static let all: [OperationCase] = sizes + values + methods + large

  /// Both sides of vectors, blocks and chunks, of both classes of device.
  private static let sizes: [OperationCase] =
    [1, 7, 128, 1000, 1024, 4097, 8192, 8193, 70001].map { check("count\($0)", [$0]) } + [
      check("tensors3", [5, 8200, 129]),
      check("tensors_small300", (0..<300).map { 1 + $0 % 7 }),
      check("tensor_empty", [130, 0, 5]),
      check("histogram_off", [9000, 33], wantsHistogram: false),
      check("histogram_every_bin", [20_000, 1000], fill: .repeating(everyBin)),
      check("histogram_one_bin", [8192, 8191], fill: .repeating([1])),
    ]

  private static let values: [OperationCase] = [
    check("all_zero", [257, 8192], fill: .repeating([0, -0.0])),
    check("zeros_in_blocks", [8192], fill: .repeating(zeroBlocks)),
    check("huge", [70001, 64], fill: .repeating([1e20, -1e20])),
    check("tiny", [70001, 64], fill: .repeating([1e-24])),
    check("largest_number", [3], fill: .repeating([.greatestFiniteMagnitude, 0, 1])),
    check("smallest", [7], fill: .repeating([2e-38])),
    check("huge_among_tiny", [300], fill: .repeating([1e-24, 1e-24, 1e20, 0, 1])),
    check("nan", [1025, 7, 9000], fill: .sprinkled([1, .nan, 2, 3])),
    check("infinite", [1025], fill: .sprinkled([1, 2, .infinity, 3, -.infinity, -.infinity])),
    check("nan_and_infinite", [515, 1], fill: .sprinkled([.nan, .infinity, -.nan])),
    check("one_nan_of_many", [50_000, 10_000, 10_000], fill: .repeating(oneNaN)),
    check("everything", [3000, 3000], fill: .sprinkled([0, .nan, 1e30, -.infinity, 1e-30, -0.0])),
  ]

  private static let methods: [OperationCase] = [
    tensorNorm("method", [33, 7], .uniform(-2, 2)),
    tensorNorm("method_huge", [129], .repeating([3e25])),
  ]

  private static let large: [OperationCase] = [
    check("parameters_11700000", [11_700_224], isLarge: true),
    check("parameters_25100000", [25_100_032], isLarge: true),
    check("resnet18_tensors62", resNet18, isLarge: true),
    check("resnet18_histogram", resNet18, wantsHistogram: true, isLarge: true),
  ]

  /// Powers of two from the smallest normal one up.
  private static let everyBin = stride(from: -126, through: 127, by: 3).map {
    Float(sign: $0 % 2 == 0 ? .plus : .minus, exponent: $0, significand: 1.5)
  }
  /// Whole blocks of zeros beside ordinary ones.
  private static let zeroBlocks = (0..<4096).map { $0 % 2048 < 1024 ? 0 : Float($0 % 17) - 8 }
  private static let oneNaN = (0..<70_272).map { $0 == 61_000 ? Float.nan : 0.5 }

  /// The parameters of ResNet-18 for 32x32 images, tensor by tensor.
  private static let resNet18: [Int] = {
    var counts: [Int] = []
    func convolution(_ weights: Int, _ channels: Int) { counts += [weights, channels, channels] }
    convolution(27 * 64, 64)
    for channels in [64, 128, 256, 512] {
      let (full, before) = (9 * channels * channels, channels == 64 ? 64 : channels / 2)
      convolution(9 * before * channels, channels)
      convolution(full, channels)
      if before != channels { convolution(before * channels, channels) }
      convolution(full, channels)
      convolution(full, channels)
    }
    return counts + [5120, 10]
  }()

  /// Where tensors of so many elements lie, and how large the arena is.
  static func places(_ counts: [Int]) -> (places: [(offset: Int, count: Int)], total: Int) {
    var (places, end) = ([(offset: Int, count: Int)](), 0)
    for count in counts {
      places.append((end, count))
      end += (count + ArenaBlock.count - 1) / ArenaBlock.count * ArenaBlock.count
    }
    return (places, end)
  }

  /// The rows of a table as operands.
  static func table(_ places: [(offset: Int, count: Int)]) -> [CaseInput] {
    let rows = TelescopeTable.rows(places)
    return [
      CaseInput([rows.chunks.count / 4, 4], .integers(rows.chunks)),
      CaseInput([places.count, 2], .integers(rows.tensors)),
    ]
  }

  private static func check(
    _ label: String, _ counts: [Int], fill: CaseInput.Fill = .uniform(-2, 2),
    wantsHistogram: Bool? = nil, isLarge: Bool = false
  ) -> OperationCase {
    let (places, total) = places(counts)
    let wantsHistogram = wantsHistogram ?? !isLarge
    return OperationCase(
      .gradientTelescope, label, inputs: [CaseInput([total], fill)] + table(places),
      tolerance: .division, work: isLarge ? .init(flops: 2 * total, bytes: 4 * total) : nil,
      outputs: { (t) throws(TensorError) in
        let reading = try onDevice { () throws(DeviceError) in
          let reading = try TelescopeReading(tensors: places.count, on: t.backend)
          try t.backend.gradientTelescope(
            t[0].value, TelescopeTable(chunks: t[1].value, tensors: t[2].value),
            wantsHistogram: wantsHistogram, into: reading)
          return reading
        }
        let arrays =
          [reading.statistics, reading.counts, reading.summary, reading.faults]
          + (wantsHistogram ? [reading.histogram] : [])
        return arrays.map { Tensor(value: $0, device: t.device, requiresGradient: false) }
      },
      oracles: { inputs in
        let sights = places.map { Sight(inputs[0][$0.offset..<$0.offset + $0.count]) }
        let all = Sight(together: sights)
        let first = sights.firstIndex { $0.faults > 0 } ?? -1
        return [
          sights.flatMap { [$0.norm, $0.largest] }, sights.flatMap(\.counts),
          [all.norm, all.largest], [all.faults, Double(first)],
        ] + (wantsHistogram ? [sights.flatMap(\.histogram)] : [])
      })
  }

  private static func tensorNorm(
    _ label: String, _ shape: Shape, _ fill: CaseInput.Fill
  ) -> OperationCase {
    OperationCase(
      .gradientTelescope, label, inputs: [CaseInput(shape, fill)], tolerance: .division,
      run: { (t) throws(TensorError) in try t[0].globalNorm() },
      oracle: { [Sight($0[0][...]).norm] })
  }
}

/// What there is to see, in Double.
private struct Sight {
  var squares = 0.0
  var largest = 0.0
  /// NaN, +infinity, -infinity, 0.
  var counts = [Double](repeating: 0, count: 4)
  var histogram = [Double](repeating: 0, count: 16)

  init(_ values: ArraySlice<Double>) {
    for value in values {
      if value.isNaN {
        counts[0] += 1
      } else if value.isInfinite {
        counts[value > 0 ? 1 : 2] += 1
      } else if value == 0 {
        counts[3] += 1
      } else {
        histogram[max(0, (Int(value.exponent) + 128) >> 4)] += 1
      }
      squares += value * value
      largest = value.isNaN || largest.isNaN ? .nan : max(largest, abs(value))
    }
  }

  init(together sights: [Sight]) {
    for sight in sights {
      squares += sight.squares
      largest = sight.largest.isNaN || largest.isNaN ? .nan : max(largest, sight.largest)
      for place in 0..<4 { counts[place] += sight.counts[place] }
    }
  }

  var norm: Double { squares.squareRoot() }
  var faults: Double { counts[0] + counts[1] + counts[2] }
}
