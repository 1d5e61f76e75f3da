internal import KeelAutograd
internal import KeelBackend

/// Chains of multiply-adds: the measure of the others.
enum MultiplyAddPeakCases {
  static let all: [OperationCase] = [
    check("rounds1", count: 1024, rounds: 1),
    check("rounds7", count: 1024, rounds: 7),
    check("rounds100", count: 4096, rounds: 100),
  ]

  private static func check(_ label: String, count: Int, rounds: Int) -> OperationCase {
    OperationCase(
      .multiplyAddPeak, label, inputs: [], tolerance: .rounding,
      outputs: { (t) throws(TensorError) in
        try t.direct([[count]]) { (backend, out) throws(DeviceError) in
          try backend.multiplyAddPeak(rounds: rounds, into: out[0])
        }
      },
      oracles: { _ in
        [
          (0..<count).map { i in
            var value = Double(i % 16) / 16
            for _ in 0..<rounds { value = value * 0.5 + 0.25 }
            return value
          }
        ]
      })
  }
}
