import Glibc
import KeelBackend

extension ReferenceBackend {
  func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    note("pointwise", out)
    precondition(inputs.count <= 6 && inputs.count >= expression.inputCount)
    let values = inputs.map(read)
    let strides = inputs.map { $0.shape.broadcastStrides(to: out.shape) }
    var result: [Double] = []
    forEachIndex(out.shape.extents) { index in
      let x = inputs.indices.map { values[$0][position(index, strides[$0])] }
      result.append(evaluate(expression, x))
    }
    write(result, to: out)
  }

  func convert(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    note("convert", out)
    write(read(x), to: out)
  }

  private func evaluate(_ expression: Expression, _ x: [Double]) -> Double {
    switch expression {
    case .input(let position): return x[position]
    case .constant(let value): return Double(value)
    case .unary(let name, let operand): return apply(name.function, evaluate(operand, x))
    case .binary(let name, let left, let right):
      return apply(name.function, evaluate(left, x), evaluate(right, x))
    case .select(let condition, let then, let otherwise):
      return evaluate(evaluate(condition, x) != 0 ? then : otherwise, x)
    }
  }

  private func apply(_ function: UnaryFunction, _ x: Double) -> Double {
    switch function {
    case .negate: -x
    case .abs: Swift.abs(x)
    case .sign: x.isNaN ? x : (x > 0 ? 1 : (x < 0 ? -1 : 0))
    case .sqrt: x.squareRoot()
    case .exp: Glibc.exp(x)
    case .expm1: Glibc.expm1(x)
    case .log: Glibc.log(x)
    case .log1p: Glibc.log1p(x)
    case .tanh: Glibc.tanh(x)
    case .sigmoid: 1 / (1 + Glibc.exp(-x))
    case .erf: Glibc.erf(x)
    case .reciprocal: 1 / x
    case .roundedToHalf: Double(Float16(x))
    }
  }

  private func apply(_ function: BinaryFunction, _ x: Double, _ y: Double) -> Double {
    switch function {
    case .add: x + y
    case .subtract: x - y
    case .multiply: x * y
    case .divide: x / y
    case .power: pow(x, y)
    case .maximum: x.isNaN || y.isNaN ? .nan : max(x, y)
    case .minimum: x.isNaN || y.isNaN ? .nan : min(x, y)
    case .less: x < y ? 1 : 0
    case .lessOrEqual: x <= y ? 1 : 0
    case .greater: x > y ? 1 : 0
    case .greaterOrEqual: x >= y ? 1 : 0
    case .equal: x == y ? 1 : 0
    case .notEqual: x != y ? 1 : 0
    }
  }

  func activate(_ activation: Activation, _ x: Double) -> Double {
    evaluate(activation.expression, [x])
  }

  func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    note("biasActivationGradient", dz, db)
    let slope = activation.derivativeOfOutput ?? 1
    let z = zip(read(y), read(dy)).map { $1 * evaluate(slope, [$0]) }
    if let dz { write(z, to: dz) }
    if let db {
      var sums = [Double](repeating: 0, count: db.count)
      for (i, value) in z.enumerated() { sums[i % db.count] += value }
      write(sums, to: db)
    }
  }

  func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    note("reduce", out)
    precondition(!axes.isEmpty && axes == axes.sorted() && axes.allSatisfy { x.shape[$0] > 0 })
    let kept = x.shape.reducing(axes, keepingAxes: true)
    precondition(kept.count == out.count)
    var groups = [[Double]](repeating: [], count: out.count)
    let (values, strides) = (read(x), kept.broadcastStrides(to: x.shape))
    var i = 0
    forEachIndex(x.shape.extents) { index in
      groups[position(index, strides)].append(values[i])
      i += 1
    }
    let result = groups.map { group in
      switch kind {
      case .sum: group.reduce(0, +)
      case .mean: group.reduce(0, +) / Double(group.count)
      case .max: group.contains(where: \.isNaN) ? .nan : group.reduce(-.infinity, max)
      case .min: group.contains(where: \.isNaN) ? .nan : group.reduce(.infinity, min)
      }
    }
    write(result, to: out)
  }

  func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError) {
    note("argmax", out)
    let inner = x.shape.extents[(axis + 1)...].reduce(1, *)
    let (extent, values) = (x.shape[axis], read(x))
    let result = (0..<out.count).map { o -> Double in
      let start = o / inner * extent * inner + o % inner
      var best = 0
      for a in 1..<max(extent, 1) where !values[start + best * inner].isNaN {
        if !(values[start + a * inner] <= values[start + best * inner]) { best = a }
      }
      return Double(best)
    }
    write(result, to: out)
  }

  func fill(_ out: NDArray, with value: Float) throws(DeviceError) {
    note("fill", out)
    write([Double](repeating: Double(value), count: out.count), to: out)
  }

  func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError) {
    note("stridedCopy", out)
    precondition(x.dtype == out.dtype)
    let values = read(x)
    var result = read(out)
    forEachIndex(extents) { index in
      result[position(index, destination.strides, offset: destination.offset)] =
        values[position(index, source.strides, offset: source.offset)]
    }
    write(result, to: out)
  }

  func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int, into out: NDArray
  ) throws(DeviceError) {
    note("gather", out)
    let (values, picks) = (read(x), read(indices).map { Int($0) })
    var result = [Double](repeating: 0, count: out.count)
    for o in 0..<outer {
      for (k, pick) in picks.enumerated() where (0..<extent).contains(pick) {
        for i in 0..<inner {
          result[(o * picks.count + k) * inner + i] = values[(o * extent + pick) * inner + i]
        }
      }
    }
    write(result, to: out)
  }

  func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int,
    into dx: NDArray
  ) throws(DeviceError) {
    note("gatherGradient", dx)
    let (values, picks) = (read(dy), read(indices).map { Int($0) })
    var result = [Double](repeating: 0, count: dx.count)
    for o in 0..<outer {
      for (k, pick) in picks.enumerated() where (0..<extent).contains(pick) {
        for i in 0..<inner {
          result[(o * extent + pick) * inner + i] += values[(o * picks.count + k) * inner + i]
        }
      }
    }
    write(result, to: dx)
  }

  func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError) {
    note("oneHot", out)
    let classes = out.count / indices.count
    let rows = read(indices).map { pick in (0..<classes).map { Double($0) == pick ? 1.0 : 0 } }
    write(rows.flatMap { $0 }, to: out)
  }
}
