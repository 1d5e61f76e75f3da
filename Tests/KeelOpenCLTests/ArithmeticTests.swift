import Glibc
import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  @Suite("Arithmetic on both classes of device")
  struct ArithmeticTests {
    /// Whether both are the same number or both no number.
    private func isClose(_ a: Float, _ b: Double, _ scale: Double) -> Bool {
      if a.isNaN || b.isNaN { return a.isNaN && b.isNaN }
      return Double(a) == b || abs(Double(a) - b) <= scale * 1e-6
    }

    @Test(
      "sums and extremes over any axes",
      arguments: [
        ([1], [0]), ([5000], [0]), ([100_003], [0]), ([7, 33], [1]), ([7, 33], [0]),
        ([4096, 3], [0]), ([3000, 1], [0]), ([2, 3, 4, 5], [1, 3]), ([2, 3, 4, 5], [0, 2]),
        ([6, 100, 70], [1]), ([3, 50_000], [1]), ([50_001, 32], [0]), ([50_000, 10], [0]),
        ([12, 20, 5, 3], [0, 1, 2]), ([1, 1, 1], [1]), ([9, 17], [0, 1]), ([300, 2, 2], [2]),
      ] as [([Int], [Int])])
    func reductions(_ extents: [Int], _ axes: [Int]) throws {
      let shape = Shape(extents)
      var values = numbers(shape.count, seed: 6)
      if values.count > 20 { values[values.count / 3] = .nan }
      let kept = shape.reducing(axes, keepingAxes: true)
      let strides = kept.broadcastStrides(to: shape)
      let own = shape.strides
      let target = (0..<shape.count).map { i in
        shape.extents.indices.reduce(0) { $0 + i / own[$1] % shape[$1] * strides[$1] }
      }
      try TestDevice.bothClasses { backend in
        let x = try backend.array(values, shape: shape)
        let y = try backend.allocate(kept, .float32)
        for kind in ReductionKind.allCases {
          let start: Double = kind == .max ? -.infinity : kind == .min ? .infinity : 0
          var expected = [Double](repeating: start, count: kept.count)
          var scale = [Double](repeating: 0, count: kept.count)
          for (i, value) in values.enumerated() {
            let old = expected[target[i]]
            let new = Double(value)
            scale[target[i]] += abs(new)
            switch kind {
            case .sum, .mean: expected[target[i]] = old + new
            case .max: expected[target[i]] = old.isNaN || new.isNaN ? .nan : max(old, new)
            case .min: expected[target[i]] = old.isNaN || new.isNaN ? .nan : min(old, new)
            }
          }
          if kind == .mean {
            expected = expected.map { $0 * Double(kept.count) / Double(shape.count) }
          }
          try backend.reduce(kind, x, axes: axes, into: y)
          let result = try backend.floats(y)
          let wrong = result.indices.filter {
            !isClose(result[$0], expected[$0], scale[$0].isNaN ? 1 : scale[$0])
          }
          #expect(wrong.isEmpty, "\(kind) \(extents) \(axes): \(wrong.prefix(3))")
          try backend.reduce(kind, x, axes: axes, into: y)
          #expect(try backend.floats(y).map(\.bitPattern) == result.map(\.bitPattern))
        }
      }
    }

    @Test(
      "the gradient of bias and activation",
      arguments: [(128, 10), (1000, 32), (64, 128), (5, 1), (333, 7), (2048, 3), (700, 37)])
    func biasActivation(rows: Int, columns: Int) throws {
      let activations: [Activation] = [
        .identity, .relu, .leakyRelu(slope: 0.1), .elu(alpha: 0.5), .sigmoid, .tanh,
      ]
      let y = numbers(rows * columns, seed: 7)
      let dy = numbers(rows * columns, seed: 8)
      try TestDevice.bothClasses { backend in
        let output = try backend.array(y, shape: [rows, columns])
        for activation in activations {
          let upstream = try backend.array(dy, shape: [rows, columns])
          let db = try backend.allocate([columns], .float32)
          let dz = try backend.allocate([rows, columns], .float32)
          let expected = y.indices.map { i -> Double in
            let (v, d) = (Double(y[i]), Double(dy[i]))
            switch activation {
            case .relu: return v <= 0 ? 0 : d
            case .leakyRelu: return v <= 0 ? Double(Float(0.1)) * d : d
            case .elu: return v <= 0 ? (v + 0.5) * d : d
            case .sigmoid: return v * (1 - v) * d
            case .tanh: return (1 - v * v) * d
            default: return d
            }
          }
          var sums = [Double](repeating: 0, count: columns)
          for i in expected.indices { sums[i % columns] += expected[i] }
          try backend.biasActivationGradient(
            output: output, upstream: upstream, activation, into: dz, bias: db)
          let gotSums = try backend.floats(db)
          #expect(sums.indices.allSatisfy { isClose(gotSums[$0], sums[$0], 2 * Double(rows)) })
          let got = try backend.floats(dz)
          #expect(got.indices.allSatisfy { isClose(got[$0], expected[$0], 4) })
          // In place, without a bias.
          try backend.biasActivationGradient(
            output: output, upstream: upstream, activation, into: upstream, bias: nil)
          #expect(try backend.floats(upstream) == got)
        }
      }
    }

    @Test("argmax takes the first of equals and the first NaN")
    func argmax() throws {
      try TestDevice.bothClasses { backend in
        let x = try backend.array([1, 5, 5, .nan, 2, .nan, -1, -3, -1] as [Float], shape: [3, 3])
        let y = try backend.allocate([3], .int32)
        try backend.argmax(x, axis: 1, into: y)
        #expect(try backend.scalars(y, as: Int32.self) == [1, 0, 0])
        try backend.argmax(x, axis: 0, into: y)
        #expect(try backend.scalars(y, as: Int32.self) == [1, 0, 1])
      }
    }

    @Test(
      "one formula with inputs of every shape that broadcasts",
      arguments: [
        ([1000], [1000], [1]), ([1000], [], [1000]), ([7, 33], [33], [7, 33]),
        ([7, 33], [7, 1], [33]), ([3, 4, 5, 6], [4, 1, 6], [3, 1, 5, 1]), ([5, 3], [5, 3], [3]),
        ([2, 100, 64], [100, 1], [2, 1, 64]), ([1], [1], []), ([6, 5000], [6, 1], [5000]),
      ] as [([Int], [Int], [Int])])
    func broadcasting(_ extents: [Int], _ first: [Int], _ second: [Int]) throws {
      let (shape, xShape, yShape) = (Shape(extents), Shape(first), Shape(second))
      let x = numbers(xShape.count, seed: 9)
      let y: [UInt8] = (0..<yShape.count).map { UInt8($0 % 251) }
      let own = shape.strides
      func place(_ i: Int, _ strides: [Int]) -> Int {
        extents.indices.reduce(0) { $0 + i / own[$1] % shape[$1] * strides[$1] }
      }
      let xStrides = xShape.broadcastStrides(to: shape)
      let yStrides = yShape.broadcastStrides(to: shape)
      let expected = (0..<shape.count).map { i in
        (x[place(i, xStrides)] - 3) * Float(y[place(i, yStrides)])
      }
      try TestDevice.bothClasses { backend in
        let out = try backend.allocate(shape, .float32)
        try backend.pointwise(
          (.x - 3) * .y, [backend.array(x, shape: xShape), backend.array(y, shape: yShape)],
          into: out)
        #expect(try backend.floats(out) == expected)
      }
    }

    @Test("every function, with what is not a number")
    func functions() throws {
      let special: [Float] = [.nan, .infinity, -.infinity, 0, -0.0, 1, -1, 3e38, -3e38, 1e-30]
      let x = special + numbers(25, seed: 10)
      let y = special.reversed() + numbers(25, seed: 11)
      let unary: [(Expression, (Double) -> Double)] = [
        (-.x, { -$0 }), (Expression.x.abs(), { abs($0) }),
        (Expression.x.sign(), { $0.isNaN ? .nan : $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }),
        (Expression.x.sqrt(), { $0.squareRoot() }), (Expression.x.exp(), { exp($0) }),
        (Expression.x.expm1(), { expm1($0) }), (Expression.x.log(), { log($0) }),
        (Expression.x.log1p(), { log1p($0) }), (Expression.x.tanh(), { tanh($0) }),
        (Expression.x.sigmoid(), { 1 / (1 + exp(-$0)) }), (Expression.x.erf(), { erf($0) }),
        (Expression.x.reciprocal(), { 1 / $0 }),
      ]
      let binary: [(Expression, (Double, Double) -> Double)] = [
        (.x + .y, { $0 + $1 }), (.x - .y, { $0 - $1 }), (.x / .y, { $0 / $1 }),
        (Expression.x.power(.y), { pow($0, $1) }),
        (Expression.x.maximum(.y), { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }),
        (Expression.x.minimum(.y), { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }),
        (.x < .y, { $0 < $1 ? 1 : 0 }), (.x >= .y, { $0 >= $1 ? 1 : 0 }),
        (Expression.x.equal(.y), { $0 == $1 ? 1 : 0 }),
        (Expression.x.notEqual(.y), { $0 != $1 ? 1 : 0 }),
        (Expression.x.select(.y, 7), { $0 != 0 ? $1 : 7 }),
      ]
      try TestDevice.bothClasses { backend in
        let a = try backend.array(x, shape: [x.count])
        let b = try backend.array(y, shape: [x.count])
        let out = try backend.allocate([x.count], .float32)
        for (expression, oracle) in unary.map({ pair in (pair.0, { v, _ in pair.1(v) }) }) + binary
        {
          try backend.pointwise(expression, [a, b], into: out)
          let result = try backend.floats(out)
          for i in x.indices {
            let exact = oracle(Double(x[i]), Double(y[i]))
            let rounded = Double(Float(exact))
            let scale = rounded.isFinite ? abs(rounded) * 4 + 1e-37 : 0
            #expect(
              isClose(result[i], rounded, scale),
              "\(expression) of \(x[i]), \(y[i]) gave \(result[i])")
          }
        }
      }
    }
  }
}
