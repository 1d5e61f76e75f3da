import KeelBackend
import KeelCPU
import Testing

/// NaN reaches the result of every operation that could hide it.
struct NaNTests {
  let cpu: CPUBackend

  init() throws { cpu = try CPUBackend() }

  static let activations: [Activation] = [
    .identity, .relu, .leakyRelu(slope: 0.1), .elu(alpha: 1), .sigmoid, .tanh,
  ]

  @Test(arguments: activations)
  func matmulEpilogue(_ activation: Activation) throws {
    var a = numbers(20 * 30)
    a[3 * 30 + 4] = .nan
    let c = try cpu.empty([20, 40])
    try cpu.matmul(
      try cpu.floats(a, [20, 30]), try cpu.floats(numbers(1200), [30, 40]),
      MatmulGeometry(rows: 20, inner: 30, columns: 40), Epilogue(activation: activation),
      into: c)
    let values = try cpu.values(c)
    for index in values.indices { #expect(values[index].isNaN == (index / 40 == 3)) }
  }

  @Test(arguments: activations)
  func convolutionEpilogue(_ activation: Activation) throws {
    let geometry = Convolution2DGeometry(
      batch: 1, height: 9, width: 9, inChannels: 3, outChannels: 16, kernel: (3, 3))
    var x = numbers(geometry.inputShape.count)
    x[0] = .nan
    let y = try cpu.empty(geometry.outputShape)
    try cpu.convolution2D(
      try cpu.floats(x, geometry.inputShape),
      filter: try cpu.floats(numbers(geometry.filterShape.count), geometry.filterShape),
      geometry, Epilogue(activation: activation), into: y)
    let values = try cpu.values(y)
    // Only the first output pixel sees the first input pixel.
    for index in values.indices { #expect(values[index].isNaN == (index < 16)) }
  }

  @Test func maximumPoolingKeepsTheFirstNaN() throws {
    for channels in [1, 3, 40, 200] {
      let geometry = Pooling2DGeometry(
        batch: 1, height: 4, width: 4, channels: channels, window: (2, 2), stride: (2, 2))
      var x = numbers(16 * channels)
      // Pixels (0, 1) and (1, 1): taps 1 and 3 of the first window.
      x[channels] = .nan
      x[5 * channels] = .nan
      let y = try cpu.empty(geometry.outputShape)
      let indices = try cpu.allocate(geometry.outputShape, .uint8)
      try cpu.maxPooling2D(
        try cpu.floats(x, geometry.inputShape), geometry, into: y, indices: indices)
      #expect(try cpu.values(y)[0].isNaN)
      #expect(try cpu.scalars(indices, as: UInt8.self)[0] == 1)
      #expect(try cpu.values(y).filter(\.isNaN).count == 1)
    }
  }

  @Test(arguments: [1, 31, 32, 100])
  func extremesAndArgmax(_ position: Int) throws {
    var x = numbers(3 * 130)
    x[130 + position] = .nan
    let input = try cpu.floats(x, [3, 130])
    for kind in [ReductionKind.max, .min, .sum, .mean] {
      let out = try cpu.empty([3])
      try cpu.reduce(kind, input, axes: [1], into: out)
      #expect(try cpu.values(out).map(\.isNaN) == [false, true, false])
    }
    let winners = try cpu.allocate([3], .int32)
    try cpu.argmax(input, axis: 1, into: winners)
    #expect(try cpu.scalars(winners, as: Int32.self)[1] == Int32(position))
    let columns = try cpu.allocate([130], .int32)
    try cpu.argmax(input, axis: 0, into: columns)
    #expect(try cpu.scalars(columns, as: Int32.self)[position] == 1)
  }

  @Test func formulas() throws {
    let x = try cpu.floats([.nan, 1, .nan], [3])
    let y = try cpu.floats([1, .nan, .nan], [3])
    let out = try cpu.empty([3])
    for expression in [
      Expression.x.maximum(.y), .x.minimum(.y), .x + .y, Activation.relu.of(.x + .y),
      (Expression.x + .y).sign(), (Expression.x * .y).abs(),
    ] {
      try cpu.pointwise(expression, [x, y], into: out)
      #expect(try cpu.values(out).allSatisfy(\.isNaN))
    }
    try cpu.pointwise(Expression.x < .y, [x, y], into: out)
    #expect(try cpu.values(out) == [0, 0, 0])
  }
}
