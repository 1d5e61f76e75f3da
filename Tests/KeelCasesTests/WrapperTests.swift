import KeelAutograd
import KeelBackend
import KeelCPU
import KeelCases
import Testing

extension CaseTests {
  /// The wrappers see what they are for.
  @Suite(.serialized) struct WrapperTests {
    private let inner = CPUBackend()

    /// A device that writes one element too many.
    final class CarelessBackend: InterceptingBackend {
      let inner: any Backend
      init(_ inner: any Backend) { self.inner = inner }

      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: () throws(DeviceError) -> Void
      ) throws(DeviceError) {
        try body()
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
