import KeelBackend
import KeelCPU
import Testing

/// What is special to this device's way of doing it: shapes at the borders of its blocks.
struct FamilyTests {
  let cpu: CPUBackend

  init() throws { cpu = try CPUBackend() }

  @Test(arguments: [
    ([5, 7, 1031], [5, 7, 1031]), ([5, 7, 1031], [1031]), ([5, 7, 1031], [7, 1]),
    ([5, 7, 1031], [5, 1, 1]), ([5, 7, 1031], [5, 1, 1031]), ([5, 7, 1031], []),
    ([40000, 3], [3]), ([3, 40000], [3, 1]),
  ])
  func broadcasts(_ extents: [Int], _ other: [Int]) throws {
    let (shape, small) = (Shape(extents), Shape(other))
    let (x, y) = (numbers(shape.count), numbers(small.count, seed: 2))
    let left = try cpu.floats(x, shape)
    // In place, and a formula that needs registers.
    try cpu.pointwise(
      (Expression.x - .y) * (Expression.x + 2) + Expression.y,
      [left, try cpu.floats(y, small)], into: left)
    let strides = small.broadcastStrides(to: shape)
    let result = try cpu.values(left)
    for index in result.indices {
      var (rest, offset) = (index, 0)
      for axis in stride(from: shape.rank - 1, through: 0, by: -1) {
        offset += rest % shape[axis] * strides[axis]
        rest /= shape[axis]
      }
      #expect(result[index] == (x[index] - y[offset]) * (x[index] + 2) + y[offset])
    }
  }

  @Test func convertsWhatIsNotFloat() throws {
    let labels = try cpu.array([Int32(-3), 7, 1 << 20], shape: [3])
    let image = try cpu.array([UInt8(0), 255, 9], shape: [3])
    let out = try cpu.empty([2, 3])
    try cpu.pointwise(Expression.x + .y / 2, [labels, image], into: out)
    let row: [Float] = [-3, 134.5, 1_048_580.5]
    #expect(try cpu.values(out) == row + row)
  }

  @Test func sharedMatricesOfABatch() throws {
    let (batch, rows, inner, columns) = (3, 5, 4, 6)
    for (sharesLeft, sharesRight, transposes) in [
      (false, false, false), (true, false, false), (false, true, false), (true, true, false),
      (false, false, true), (true, false, true), (false, true, true), (true, true, true),
    ] {
      let geometry = MatmulGeometry(
        batch: batch, rows: rows, inner: inner, columns: columns, transposeLeft: transposes,
        transposeRight: transposes, sharesLeft: sharesLeft, sharesRight: sharesRight)
      let a = numbers((sharesLeft ? 1 : batch) * rows * inner)
      let b = numbers((sharesRight ? 1 : batch) * inner * columns, seed: 2)
      let bias = numbers(columns, seed: 3)
      let c = try cpu.empty([batch, rows, columns])
      try cpu.matmul(
        try cpu.floats(a, [a.count]), try cpu.floats(b, [b.count]), geometry,
        Epilogue(bias: try cpu.floats(bias, [columns]), activation: .relu), into: c)
      let result = try cpu.values(c)
      for index in result.indices {
        let (i, r, n) = (index / columns / rows, index / columns % rows, index % columns)
        var sum = Double(bias[n])
        for k in 0..<inner {
          let left = i * geometry.leftBatchStride + (transposes ? k * rows + r : r * inner + k)
          let right =
            i * geometry.rightBatchStride + (transposes ? n * inner + k : k * columns + n)
          sum += Double(a[left]) * Double(b[right])
        }
        #expect(abs(Double(result[index]) - max(sum, 0)) < 1e-5)
      }
    }
  }

  @Test func productsOverNothing() throws {
    let bias = try cpu.floats([-1, 2, 3], [3])
    let c = try cpu.empty([4, 3])
    try cpu.matmul(
      try cpu.floats([], [4, 0]), try cpu.floats([], [0, 3]),
      MatmulGeometry(rows: 4, inner: 0, columns: 3), Epilogue(bias: bias, activation: .relu),
      into: c)
    #expect(try cpu.values(c) == [0, 2, 3, 0, 2, 3, 0, 2, 3, 0, 2, 3])
    let none = try cpu.floats([], [0, 3])
    try cpu.matmul(
      try cpu.floats([], [0, 2]), try cpu.floats(numbers(6), [2, 3]),
      MatmulGeometry(rows: 0, inner: 2, columns: 3), .none, into: none)
  }

  @Test(arguments: [1, 3, 10, 48, 255, 256, 257])
  func channelSums(_ columns: Int) throws {
    let rows = 200_003 / columns
    let y = numbers(rows * columns)
    let dy = numbers(rows * columns, seed: 2)
    let upstream = try cpu.floats(dy, [rows, columns])
    let db = try cpu.empty([columns])
    try cpu.biasActivationGradient(
      output: try cpu.floats(y, [rows, columns]), upstream: upstream, .relu, into: upstream,
      bias: db)
    var sums = [Double](repeating: 0, count: columns)
    let dz = zip(y, dy).map { $0 > 0 ? $1 : 0 }
    for index in dz.indices { sums[index % columns] += Double(dz[index]) }
    #expect(try cpu.values(upstream) == dz)
    for (result, sum) in zip(try cpu.values(db), sums) { #expect(ulps(result, sum) <= 1) }
  }

  @Test func transposesAndLongCopies() throws {
    for (rows, columns) in [(1, 1), (33, 65), (100, 3), (3, 5000), (700, 900)] {
      let x = numbers(rows * columns)
      let out = try cpu.empty([columns, rows])
      try cpu.stridedCopy(
        try cpu.floats(x, [rows, columns]), StridedPattern(strides: [1, columns]), into: out,
        StridedPattern(dense: [columns, rows]), extents: [columns, rows])
      let result = try cpu.values(out)
      for c in 0..<columns {
        for r in 0..<rows { #expect(result[c * rows + r] == x[r * columns + c]) }
      }
    }
    let long = numbers(300_007)
    let copy = try cpu.empty([long.count])
    try cpu.stridedCopy(
      try cpu.floats(long, [long.count]), StridedPattern(offset: long.count - 1, strides: [-1]),
      into: copy, StridedPattern(strides: [1]), extents: [long.count])
    #expect(try cpu.values(copy) == long.reversed())
  }
}
