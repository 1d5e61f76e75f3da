import KeelBackend
import KeelOpenCL
import Testing

extension BothClassesTests {
  @Suite("Movement on both classes of device")
  struct MovementTests {
    struct Copy: Sendable, CustomTestStringConvertible {
      let extents: [Int]
      let source: StridedPattern
      let destination: StridedPattern
      let label: String
      var testDescription: String { label }
    }

    static let copies: [Copy] = [
      Copy(
        extents: [1000], source: .init(strides: [1]), destination: .init(strides: [1]),
        label: "dense"),
      Copy(
        extents: [30, 40], source: .init(strides: [1, 30]), destination: .init(strides: [40, 1]),
        label: "transpose"),
      Copy(
        extents: [3, 33, 17], source: .init(strides: [561, 1, 33]),
        destination: .init(strides: [561, 17, 1]), label: "transpose of a batch"),
      Copy(
        extents: [4, 5, 6, 7], source: .init(strides: [1, 4, 20, 120]),
        destination: .init(strides: [210, 42, 7, 1]), label: "all axes reversed"),
      Copy(
        extents: [10, 9], source: .init(offset: 89, strides: [-9, -1]),
        destination: .init(strides: [9, 1]), label: "flip"),
      Copy(
        extents: [8, 25], source: .init(offset: 3, strides: [1, 0]),
        destination: .init(offset: 2, strides: [30, 1]), label: "stretch into a pad"),
      Copy(
        extents: [20, 3], source: .init(strides: [3, 1]),
        destination: .init(offset: 1, strides: [7, 1]), label: "part of rows"),
      Copy(
        extents: [2, 2, 2, 2, 2, 2, 2, 3],
        source: .init(strides: [1, 2, 4, 8, 16, 32, 64, 128]),
        destination: .init(strides: [192, 96, 48, 24, 12, 6, 3, 1]), label: "eight axes"),
    ]

    private func offsets(_ pattern: StridedPattern, _ extents: [Int]) -> [Int] {
      var offsets = [pattern.offset]
      for (extent, stride) in zip(extents, pattern.strides) {
        offsets = offsets.flatMap { base in (0..<extent).map { base + $0 * stride } }
      }
      return offsets
    }

    @Test("a strided copy moves each element to its place and leaves the others", arguments: copies)
    func stridedCopy(_ copy: Copy) throws {
      let from = offsets(copy.source, copy.extents)
      let to = offsets(copy.destination, copy.extents)
      let x = numbers((from.max() ?? 0) + 5, seed: 3)
      var expected = [Float](repeating: 9, count: (to.max() ?? 0) + 5)
      for (source, destination) in zip(from, to) { expected[destination] = x[source] }
      let bytes = x.map { UInt8(($0 + 2) * 63) }
      var expectedBytes = [UInt8](repeating: 9, count: expected.count)
      for (source, destination) in zip(from, to) { expectedBytes[destination] = bytes[source] }
      try TestDevice.bothClasses { backend in
        let input = try backend.array(x, shape: [x.count])
        let output = try backend.allocate([expected.count], .float32)
        try backend.fill(output, with: 9)
        try backend.stridedCopy(
          input, copy.source, into: output, copy.destination, extents: copy.extents)
        #expect(try backend.floats(output) == expected)
        let small = try backend.array(bytes, shape: [bytes.count])
        let smallOutput = try backend.allocate([expected.count], .uint8)
        try backend.fill(smallOutput, with: 9)
        try backend.stridedCopy(
          small, copy.source, into: smallOutput, copy.destination, extents: copy.extents)
        #expect(try backend.scalars(smallOutput, as: UInt8.self) == expectedBytes)
      }
    }

    @Test("gather picks rows, its gradient sums them back", arguments: [1, 5, 16, 37, 300])
    func gather(inner: Int) throws {
      let (outer, extent) = (2, 7)
      let indices: [Int32] = (0..<45).map { $0 % 11 - 2 }
      let x = numbers(outer * extent * inner, seed: 4)
      let dy = numbers(outer * indices.count * inner, seed: 5)
      var expected = [Float](repeating: 0, count: dy.count)
      var expectedGradient = [Float](repeating: 0, count: x.count)
      for o in 0..<outer {
        for (k, index) in indices.enumerated() where (0..<Int32(extent)).contains(index) {
          for i in 0..<inner {
            let to = (o * indices.count + k) * inner + i
            let from = (o * extent + Int(index)) * inner + i
            expected[to] = x[from]
            expectedGradient[from] += dy[to]
          }
        }
      }
      try TestDevice.bothClasses { backend in
        let picks = try backend.array(indices, shape: [indices.count])
        let y = try backend.allocate([expected.count], .float32)
        try backend.gather(
          backend.array(x, shape: [x.count]), picks, outer: outer, extent: extent, inner: inner,
          into: y)
        #expect(try backend.floats(y) == expected)
        let dx = try backend.allocate([x.count], .float32)
        try backend.gatherGradient(
          upstream: backend.array(dy, shape: [dy.count]), picks, outer: outer, extent: extent,
          inner: inner, into: dx)
        #expect(try backend.floats(dx) == expectedGradient)
      }
    }

    @Test("one-hot rows, zeros for a label outside")
    func oneHot() throws {
      let labels: [Int32] = [0, 2, -1, 3, 1, 9]
      let expected: [Float] = labels.flatMap { label in (0..<3).map { $0 == label ? 1 : 0 } }
      try TestDevice.bothClasses { backend in
        let y = try backend.allocate([labels.count, 3], .float32)
        try backend.oneHot(backend.array(labels, shape: [labels.count]), into: y)
        #expect(try backend.floats(y) == expected)
      }
    }

    @Test("fill converts to the element type")
    func fill() throws {
      try TestDevice.bothClasses { backend in
        let bytes = try backend.allocate([37], .uint8)
        try backend.fill(bytes, with: 300)
        #expect(try backend.scalars(bytes, as: UInt8.self).allSatisfy { $0 == 255 })
        let whole = try backend.allocate([37], .int32)
        try backend.fill(whole, with: -2.5)
        #expect(try backend.scalars(whole, as: Int32.self).allSatisfy { $0 == -2 })
      }
    }
  }
}
