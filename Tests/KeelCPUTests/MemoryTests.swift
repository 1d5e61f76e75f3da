import KeelBackend
import KeelCPU
import Testing

/// The pool, its counters and what it refuses.
struct MemoryTests {
  let cpu: CPUBackend

  init() throws { cpu = try CPUBackend() }

  @Test func memoryOfAnArrayThatEndedIsUsedAgain() throws {
    let shape: Shape = [333, 77]
    do { _ = try cpu.empty(shape) }
    let before = cpu.counters
    for _ in 0..<10 { _ = try cpu.empty(shape) }
    #expect(cpu.counters.allocations == before.allocations)
    #expect(cpu.counters.liveBytes == 0)
    #expect(cpu.counters.peakBytes == shape.count * 4)
  }

  @Test func arraysThatLiveShareNothing() throws {
    let first = try cpu.floats(numbers(1000), [1000])
    let second = try cpu.floats(numbers(1000, seed: 2), [1000])
    #expect(try cpu.values(first) == numbers(1000))
    #expect(try cpu.values(second) == numbers(1000, seed: 2))
    #expect(cpu.counters.liveBytes == 8000)
  }

  @Test func absurdSizesAreRefused() throws {
    #expect(throws: DeviceError.self) { try cpu.allocate([Int.max / 4, 3], .float32) }
    #expect(throws: DeviceError.self) { try cpu.allocate([1 << 40, 4], .float32) }
    // The device still works.
    #expect(try cpu.values(try cpu.floats([1, 2], [2])) == [1, 2])
  }

  @Test func emptyArraysAreAllowed() throws {
    let empty = try cpu.floats([], [0, 5])
    #expect(try cpu.values(empty).isEmpty)
    try cpu.pointwise(Expression.x.exp(), [empty], into: empty)
  }

  @Test func theSteadyStateAllocatesNothing() throws {
    let geometry = MatmulGeometry(rows: 40, inner: 70, columns: 30, transposeLeft: true)
    let (a, b) = (
      try cpu.floats(numbers(2800), [70, 40]), try cpu.floats(numbers(2100), [70, 30])
    )
    let (c, sum) = (try cpu.empty([40, 30]), try cpu.empty([30]))
    func step() throws {
      try cpu.matmul(a, b, geometry, Epilogue(activation: .relu), into: c)
      try cpu.reduce(.sum, c, axes: [0], into: sum)
    }
    try step()
    let before = cpu.counters
    for _ in 0..<5 { try step() }
    #expect(cpu.counters.allocations == before.allocations)
    #expect(cpu.counters.launches == before.launches + 10)
    #expect(cpu.counters.blockingReads == before.blockingReads)
  }

  @Test func theMachineIsDescribed() {
    #expect(cpu.info.selector == "cpu")
    #expect(cpu.info.memoryBytes > 1 << 28)
    #expect(cpu.info.computeUnits >= 1)
    #expect(!cpu.info.name.isEmpty)
  }
}
