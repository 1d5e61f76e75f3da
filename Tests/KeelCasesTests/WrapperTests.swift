import KeelAutograd
import KeelBackend
import KeelCPU
import KeelCases
import Testing

extension CaseTests {
  /// The wrappers see what they are for.
  @Suite(.serialized) struct WrapperTests {
    private let inner: CPUBackend

    init() throws { inner = try CPUBackend() }

    /// A device that writes one element too many.
    final class CarelessBackend: InterceptingBackend {
      let inner: any Backend
      init(_ inner: any Backend) { self.inner = inner }

      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: DeviceCall
      ) throws(DeviceError) {
        try body(inner, inputs, outputs)
        guard operation == .softmax, let out = outputs.first else { return }
        let wider = NDArray(
          storage: out.storage, byteOffset: out.byteOffset, shape: [out.count + 1],
          dtype: .float32)
        try inner.fill(wider, with: 1)
      }
    }

    @Test func writingOutsideIsNamed() throws {
      let device = Device(GuardedBackend(CarelessBackend(inner)))
      let x = try Tensor([1, 2, 3], shape: [1, 3], on: device)
      #expect(try x.exp().scalars().count == 3)
      #expect(throws: TensorError.device(.guardOverwritten(operation: "softmax(_:into:)"))) {
        try x.softmax()
      }
    }

    /// A device whose every operation gets the last element of each result slightly wrong.
    final class CorruptingBackend: InterceptingBackend {
      let inner: any Backend
      init(_ inner: any Backend) { self.inner = inner }

      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: DeviceCall
      ) throws(DeviceError) {
        try body(inner, inputs, outputs)
        for out in outputs { try corrupt(out) }
      }

      private func corrupt(_ out: NDArray) throws(DeviceError) {
        guard let last = out.shape.count.advanced(by: -1).positive else { return }
        switch out.dtype {
        case .float32:
          var numbers: [Float] = try inner.scalars(out)
          let largest = numbers.reduce(Float(0.01)) { $1.isFinite ? max($0, abs($1)) : $0 }
          numbers[last] = numbers[last].isFinite ? numbers[last] + 0.01 * largest : 7
          try inner.upload(numbers, to: out)
        case .int32:
          var numbers: [Int32] = try inner.scalars(out)
          numbers[last] ^= 1
          try inner.upload(numbers, to: out)
        case .uint8:
          var numbers: [UInt8] = try inner.scalars(out)
          numbers[last] ^= 1
          try inner.upload(numbers, to: out)
        case .float16, .bfloat16:
          var numbers: [Float] = try inner.scalars(out)
          let largest = numbers.reduce(Float(0.1)) { $1.isFinite ? max($0, abs($1)) : $0 }
          numbers[last] = numbers[last].isFinite ? numbers[last] + 0.1 * largest : 7
          try inner.upload(halves: numbers, to: out)
        }
      }
    }

    /// The table can fail: nearly no case passes on a device that is wrong by one per cent in one
    /// element.
    @Test func wrongElementsAreNoticed() throws {
      let runner = CaseRunner(Device(CorruptingBackend(inner)))
      let unnoticed = CaseCatalog.small.filter { runner.check($0, isThorough: false).passed }
        .map(\.id)
      // No operation runs, nothing comes out, or the last number is not looked at.
      let excused: Set<String> = [
        "pointwise/size_0", "strided_copy/reshape", "strided_copy/flatten", "matmul/rows_empty",
        "dropout/rate_zero", "gradient_telescope/method", "gradient_telescope/method_huge",
      ]
      #expect(unnoticed.filter { !excused.contains($0) } == [])
    }

    @Test func profileCountsCallsAndBytes() throws {
      let profiling = ProfilingBackend(inner)
      let device = Device(profiling)
      let x = try Tensor.ones([64, 32], on: device)
      _ = try x.matmul(try Tensor.ones([32, 16], on: device))
      _ = try x.matmul(try Tensor.ones([32, 16], on: device)).scalars()
      let matmul = try #require(profiling.table.first { $0.method == "matmul" })
      #expect(matmul.operation == "matmul")
      #expect(matmul.calls == 2)
      #expect(matmul.bytes == 2 * 4 * (64 * 32 + 32 * 16 + 64 * 16))
      #expect(matmul.seconds > 0)
      profiling.reset()
      #expect(profiling.table.isEmpty)
    }
  }
}

extension Int {
  /// This number, or nil below 0.
  fileprivate var positive: Int? { self >= 0 ? self : nil }
}
