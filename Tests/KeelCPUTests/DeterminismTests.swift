import KeelBackend
import KeelCPU
import Synchronization
import Testing

/// The same bits twice, and while other threads keep the cores busy.
struct DeterminismTests {
  let cpu: CPUBackend

  init() throws { cpu = try CPUBackend() }

  /// Runs `body` twice, and then twice at the same time.
  func expectSameBits(_ body: @Sendable () throws -> [Float]) throws {
    let first = bits(try body())
    #expect(bits(try body()) == first)
    let together = Mutex<[[UInt32]]>([])
    concurrently(2) { _ in
      let result = (try? body()).map(bits) ?? []
      together.withLock { $0.append(result) }
    }
    for result in together.withLock({ $0 }) { #expect(result == first) }
  }

  @Test(arguments: [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
  func sums(_ axes: [Int]) throws {
    let shape: Shape = [37, 211, 53]
    let values = numbers(shape.count)
    try expectSameBits { [cpu] in
      let x = try cpu.floats(values, shape)
      let out = try cpu.empty(shape.reducing(axes, keepingAxes: false))
      try cpu.reduce(.sum, x, axes: axes, into: out)
      return try cpu.values(out)
    }
  }

  @Test func norms() throws {
    let values = numbers(1_000_003)
    try expectSameBits { [cpu] in
      let table = try TelescopeTable([(offset: 0, count: values.count)], on: cpu)
      let reading = try TelescopeReading(tensors: 1, on: cpu)
      try cpu.gradientTelescope(
        try cpu.floats(values, [values.count]), table, wantsHistogram: false, into: reading)
      return try cpu.values(reading.summary)
    }
  }

  @Test(arguments: [1, 10, 33, 300])
  func biasGradients(_ columns: Int) throws {
    let rows = 300_000 / columns
    let values = numbers(rows * columns)
    try expectSameBits { [cpu] in
      let y = try cpu.floats(values, [rows, columns])
      let db = try cpu.empty([columns])
      try cpu.biasActivationGradient(output: y, upstream: y, .tanh, into: nil, bias: db)
      return try cpu.values(db)
    }
  }

  /// oneDNN splits work by threads, so only the same number of threads gives the same bits.
  @Test func convolutionsTwice() throws {
    let geometry = Convolution2DGeometry(
      batch: 5, height: 17, width: 19, inChannels: 7, outChannels: 13, kernel: (3, 3),
      padding: (1, 1, 1, 1))
    let x = try cpu.floats(numbers(geometry.inputShape.count), geometry.inputShape)
    let dy = try cpu.floats(numbers(geometry.outputShape.count), geometry.outputShape)
    func gradient() throws -> [UInt32] {
      let dfilter = try cpu.empty(geometry.filterShape)
      try cpu.convolution2DFilterGradient(x, upstream: dy, geometry, into: dfilter)
      return bits(try cpu.values(dfilter))
    }
    #expect(try gradient() == gradient())
  }

  @Test func matmulTwice() throws {
    let geometry = MatmulGeometry(rows: 129, inner: 515, columns: 67)
    let a = try cpu.floats(numbers(129 * 515), [129, 515])
    let b = try cpu.floats(numbers(515 * 67), [515, 67])
    func product() throws -> [UInt32] {
      let c = try cpu.empty([129, 67])
      try cpu.matmul(a, b, geometry, .none, into: c)
      return bits(try cpu.values(c))
    }
    #expect(try product() == product())
  }

  @Test func randomWordsAreThoseOfTheHost() throws {
    let key = RandomKey(seed: 0x1234_5678_9ABC_DEF0, .noise, index: 3, step: 1 << 33 | 7)
    let count = 70_003
    let out = try cpu.allocate([count], .int32)
    try cpu.randomBits(key, into: out)
    var sequence = RandomSequence(key)
    let expected = (0..<count).map { _ in Int32(bitPattern: sequence.nextWord()) }
    #expect(try cpu.scalars(out, as: Int32.self) == expected)
    let uniform = try cpu.empty([count])
    try cpu.randomUniform(key, low: -3, high: 5, into: uniform)
    #expect(
      try cpu.values(uniform)
        == expected.map { -3 + 8 * (Float(UInt32(bitPattern: $0) >> 8) * 0x1p-24) })
  }
}
