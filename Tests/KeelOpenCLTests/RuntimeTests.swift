import KeelBackend
import KeelOpenCL
import Testing

@Suite("OpenCL runtime", .enabled(if: TestDevice.isUsable), .serialized)
struct RuntimeTests {
  @Test("what is uploaded is read back, also in a part of an array")
  func transfers() throws {
    let backend = try TestDevice.open()
    let values = numbers(1000, seed: 1)
    let whole = try backend.array(values, shape: [1000])
    #expect(try backend.floats(whole) == values)
    let part = whole.view(offset: 256, shape: [300])
    #expect(try backend.floats(part) == Array(values[256..<556]))
    try backend.fill(part, with: 7)
    let expected = Array(values[..<256]) + [Float](repeating: 7, count: 300) + values[556...]
    #expect(try backend.floats(whole) == expected)
  }

  @Test("memory comes back to the pool and is used again")
  func pool() throws {
    let backend = try TestDevice.fresh()
    func step() throws {
      let x = try backend.array(numbers(5000, seed: 2), shape: [5000])
      let y = try backend.allocate([5000], .float32)
      try backend.pointwise(.x * 2, [x], into: y)
      _ = try backend.floats(y)
    }
    try step()
    let before = backend.counters
    #expect(before.liveBytes == 0)
    #expect(before.peakBytes >= 40_000)
    for _ in 0..<3 { try step() }
    let after = backend.counters
    #expect(after.allocations == before.allocations)
    #expect(after.liveBytes == 0)
    #expect(after.blockingReads == before.blockingReads + 3)
    #expect(after.launches == before.launches + 3)
  }

  @Test("a request that no device meets says what was asked and what there is")
  func outOfMemory() throws {
    let backend = try TestDevice.fresh()
    let huge = Shape([1 << 44])
    #expect {
      try backend.allocate(huge, .float32)
    } throws: { error in
      guard case DeviceError.outOfMemory(let requested, let available) = error else { return false }
      return requested >= 1 << 46 && available > 0 && available < requested
    }
    #expect(backend.counters.liveBytes == 0)
    _ = try backend.allocate([16], .float32)
  }

  @Test("a kernel that does not build shows the compiler's words")
  func buildFailure() throws {
    let backend = try TestDevice.fresh()
    let source = KernelSource(name: "broken", text: "__kernel void broken() { undeclared = 1; }")
    #expect {
      try backend.launch("broken", source: source, grid: .tiles(1))
    } throws: { error in
      guard case DeviceError.buildFailed("broken", let log) = error else { return false }
      return log.contains("undeclared")
    }
  }

  @Test("a function that the program lacks is an error with the driver's function and status")
  func missingFunction() throws {
    let backend = try TestDevice.fresh()
    #expect(
      throws: DeviceError.callFailed(
        function: "clCreateKernel", status: "CL_INVALID_KERNEL_NAME")
    ) {
      try backend.launch("fill_nothing", from: .fill, grid: .tiles(1))
    }
  }

  @Test("an empty array costs no launch")
  func emptyArrays() throws {
    let backend = try TestDevice.fresh()
    let empty = try backend.allocate([0, 3], .float32)
    try backend.fill(empty, with: 1)
    #expect(try backend.floats(empty).isEmpty)
    #expect(backend.counters.launches == 0)
  }

  @Test("the device's time of every launch is reported")
  func timing() throws {
    let backend = try TestDevice.open()
    let x = try backend.allocate([1 << 20], .float32)
    let trace = try backend.traced {
      try backend.fill(x, with: 1)
      try backend.pointwise(.x + 1, [x], into: x)
    }
    #expect(trace.launches.map(\.function) == ["fill", "pointwise_flat"])
    #expect(try backend.floats(x).allSatisfy { $0 == 2 })
  }

  @Test("launches from several threads do not mix their arguments")
  func threads() async throws {
    let backend = try TestDevice.open()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<4 {
        group.addTask {
          for round in 0..<50 {
            let value = Float(task * 1000 + round)
            let x = try backend.allocate([777], .float32)
            try backend.fill(x, with: value)
            guard try backend.floats(x).allSatisfy({ $0 == value }) else { return false }
          }
          return true
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
  }
}
