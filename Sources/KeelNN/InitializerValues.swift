import Glibc
package import KeelBackend

extension Initializer {
  /// The first values of a parameter.
  package func values(shape: Shape, fanIn: Int, fanOut: Int, key: RandomKey) -> [Float] {
    var random = RandomSequence(key)
    let count = shape.count
    switch self {
    case .zeros: return [Float](repeating: 0, count: count)
    case .ones: return [Float](repeating: 1, count: count)
    case .constant(let value): return [Float](repeating: value, count: count)
    case .segments(let values): return (0..<count).map { values[$0 * values.count / count] }
    case .uniform(let low, let high):
      return random.uniforms(count, low: Double(low), high: Double(high))
    case .normal(let mean, let deviation):
      return random.normals(count, mean: Double(mean), deviation: Double(deviation))
    case .truncatedNormal(let mean, let deviation):
      return random.truncatedNormals(count, mean: Double(mean), deviation: Double(deviation))
    case .varianceScaling(_, _, let distribution):
      let deviation = expectedDeviation(shape: shape, fanIn: fanIn, fanOut: fanOut)
      switch distribution {
      case .uniform:
        let limit = 3.0.squareRoot() * deviation
        return random.uniforms(count, low: -limit, high: limit)
      case .normal: return random.normals(count, mean: 0, deviation: deviation)
      case .truncatedNormal: return random.truncatedNormals(count, mean: 0, deviation: deviation)
      }
    case .orthogonal(let gain):
      return orthonormal(rows: shape.matrixRows, columns: shape.matrixColumns, &random).map {
        Float(Double(gain) * $0)
      }
    case .identity(let gain): return centredIdentity(shape, fanOut: fanOut, gain: gain)
    case .sparse(let connections, let deviation):
      return sparseMatrix(
        rows: shape.matrixRows, columns: shape.matrixColumns, connections: connections,
        deviation: Double(deviation), &random)
    }
  }
}

/// The identity of the last two axes at the centre of those before; see
/// ``Initializer/identity(gain:)``.
///
/// Grouped convolutions declare fanOut = taps x filters of one group: that is how many columns
/// make one identity.
private func centredIdentity(_ shape: Shape, fanOut: Int, gain: Float) -> [Float] {
  var values = [Float](repeating: 0, count: shape.count)
  let windows = Array(shape.extents.dropLast(2))
  let (rows, columns) = (shape.extents[windows.count], shape.matrixColumns)
  // With same padding an even window reaches one tap further behind than before.
  let centre = windows.reduce(0) { $0 * $1 + ($1 - 1) / 2 }
  let declared = fanOut / max(windows.reduce(1, *), 1)
  let period = declared >= 1 && columns % declared == 0 ? declared : columns
  for column in 0..<columns where column % period < rows {
    values[(centre * rows + column % period) * columns + column] = gain
  }
  return values
}

/// A matrix each of whose columns has `connections` normal numbers at random rows.
private func sparseMatrix(
  rows: Int, columns: Int, connections: Int, deviation: Double, _ random: inout RandomSequence
) -> [Float] {
  var values = [Float](repeating: 0, count: rows * columns)
  let chosen = min(connections, rows)
  var order = Array(0..<rows)
  for column in 0..<columns {
    let normals = random.standardNormals(chosen)
    // The first steps of a shuffle: whatever order the last column left, all rows are as likely.
    for i in 0..<chosen {
      order.swapAt(i, i + Int(random.next(below: UInt32(rows - i))))
      values[order[i] * columns + column] = Float(deviation * normals[i])
    }
  }
  return values
}

/// The standard deviation of a standard normal number that lies within ±2.
package let truncatedDeviation = 0.879_625_661_034_239_78

extension RandomSequence {
  /// A number in [0, 1) of 53 random bits.
  mutating func nextDouble() -> Double { Double(next() >> 11) * 0x1p-53 }

  mutating func uniforms(_ count: Int, low: Double, high: Double) -> [Float] {
    (0..<count).map { _ in Float(low + (high - low) * nextDouble()) }
  }

  /// Two independent standard normal numbers (Box & Muller, 1958).
  mutating func nextNormals() -> (Double, Double) {
    // 1 - u lies in (0, 1]: the logarithm is finite.
    let radius = (-2 * log(1 - nextDouble())).squareRoot()
    let angle = 2 * Double.pi * nextDouble()
    return (radius * cos(angle), radius * sin(angle))
  }

  mutating func standardNormals(_ count: Int) -> [Double] {
    var values: [Double] = []
    values.reserveCapacity(count + 1)
    while values.count < count {
      let (first, second) = nextNormals()
      values.append(first)
      values.append(second)
    }
    values.removeLast(values.count - count)
    return values
  }

  mutating func normals(_ count: Int, mean: Double, deviation: Double) -> [Float] {
    standardNormals(count).map { Float(mean + deviation * $0) }
  }

  /// Normal numbers within two standard deviations of the parent, whose deviation is enlarged so
  /// that what remains has `deviation`.
  mutating func truncatedNormals(_ count: Int, mean: Double, deviation: Double) -> [Float] {
    let parent = deviation / truncatedDeviation
    var values: [Float] = []
    values.reserveCapacity(count)
    while values.count < count {
      let (first, second) = nextNormals()
      if abs(first) <= 2 { values.append(Float(mean + parent * first)) }
      if abs(second) <= 2, values.count < count { values.append(Float(mean + parent * second)) }
    }
    return values
  }
}

/// A matrix (row-major) with orthonormal columns, or rows if these are fewer, drawn uniformly:
/// Q of the QR decomposition of normal numbers, each column times the sign of R's diagonal
/// (Mezzadri, 2007).
private func orthonormal(rows: Int, columns: Int, _ random: inout RandomSequence) -> [Double] {
  let (tall, narrow) = (max(rows, columns), min(rows, columns))
  guard narrow > 0 else { return [] }
  // Columns of the tall matrix side by side: a reflection walks along memory.
  let q = householderQ(random.standardNormals(tall * narrow), height: tall, count: narrow)
  if rows < columns { return q }
  var matrix = [Double](repeating: 0, count: rows * columns)
  for column in 0..<narrow {
    for row in 0..<tall { matrix[row * columns + column] = q[column * tall + row] }
  }
  return matrix
}

/// Q of a matrix whose columns of `height` numbers stand one after the other.
private func householderQ(_ matrix: [Double], height: Int, count: Int) -> [Double] {
  var a = matrix
  var reflections: [[Double]] = []
  var signs: [Double] = []
  for k in 0..<count {
    var v = Array(a[(k * height + k)..<((k + 1) * height)])
    let norm = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let alpha = v[0] > 0 ? -norm : norm
    v[0] -= alpha
    let length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    if length > 0 { for i in v.indices { v[i] /= length } }
    for column in k..<count { reflect(&a, v, from: column * height + k) }
    reflections.append(v)
    signs.append(alpha < 0 ? -1 : 1)
  }
  var q = [Double](repeating: 0, count: height * count)
  for column in 0..<count {
    q[column * height + column] = 1
    for k in (0..<count).reversed() { reflect(&q, reflections[k], from: column * height + k) }
    for row in 0..<height { q[column * height + row] *= signs[column] }
  }
  return q
}

/// x -= 2 v (v · x) for the part of a column that starts at `start`.
private func reflect(_ x: inout [Double], _ v: [Double], from start: Int) {
  var product = 0.0
  for i in v.indices { product += v[i] * x[start + i] }
  for i in v.indices { x[start + i] -= 2 * product * v[i] }
}
