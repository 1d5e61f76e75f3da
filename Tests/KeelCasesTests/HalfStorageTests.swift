import KeelAutograd
import KeelBackend
import KeelCases
import KeelOpenCL
import Testing

extension CaseTests {
  /// Elements of 16 bits: their conversion bit by bit, and the operations on them.
  @Suite(.serialized) struct HalfStorageTests {
    /// Runs a body on a device, and on an OpenCL device again with the kernels of the other class.
    private func onBothClasses(_ device: Device, _ body: () throws -> Void) throws {
      try body()
      guard let backend = device.backend.innermost as? OpenCLBackend else { return }
      let before = backend.setClass(!backend.isCPUClass)
      defer { _ = backend.setClass(before) }
      try body()
    }

    private func upload(_ bits: [UInt16], _ dtype: DType, _ device: Device) throws -> NDArray {
      let array = try device.backend.allocate([bits.count], dtype)
      try bits.withUnsafeBytes { try device.backend.upload($0, to: array) }
      return array
    }

    private func bits(_ array: NDArray, _ device: Device) throws -> [UInt16] {
      var bits = [UInt16](repeating: 0, count: array.count)
      try bits.withUnsafeMutableBytes { try device.backend.download(array, to: $0) }
      return bits
    }

    /// All 65536 patterns against sign, exponent and fraction; and back to the same bits.
    @Test(arguments: TestDevices.all, [DType.float16, .bfloat16])
    func everyPatternIsReadAndWritten(_ device: Device, dtype: DType) throws {
      let format = HalfFormat(dtype)
      let all = (0..<65536).map { UInt16($0) }
      try onBothClasses(device) {
        let array = try upload(all, dtype, device)
        let wide = try device.backend.allocate([65536], .float32)
        try device.backend.convert(array, into: wide)
        let numbers: [Float] = try device.backend.scalars(wide)
        let isRight = zip(all, numbers).map { pattern, number in
          let expected = format.number(pattern)
          return expected.isNaN
            ? number.isNaN : number.bitPattern == Float(expected).bitPattern
        }
        #expect(isRight.firstIndex(of: false) == nil)

        let back = try device.backend.allocate([65536], dtype)
        try device.backend.convert(wide, into: back)
        let quiet: UInt16 = dtype == .float16 ? 0x7E00 : 0x7FC0
        let expected = all.map { pattern in
          format.number(pattern).isNaN ? pattern & 0x8000 | quiet : pattern
        }
        #expect(try bits(back, device) == expected)
      }
    }

    /// Between each two neighbours: the middle, and the float32 numbers beside it.
    @Test(arguments: TestDevices.all, [DType.float16, .bfloat16])
    func everyMiddleIsRoundedToEven(_ device: Device, dtype: DType) throws {
      let format = HalfFormat(dtype)
      var numbers: [Float] = []
      for pattern in 0..<UInt16(0x7FFF) {
        let (low, high) = (format.number(pattern), format.number(pattern + 1))
        guard high.isFinite else { continue }
        let middle = Float((low + high) / 2)
        numbers += [middle, middle.nextUp, middle.nextDown, -middle, -middle.nextUp]
      }
      let largest = Float(format.number(dtype == .float16 ? 0x7BFF : 0x7F7F))
      let end = Float(dtype == .float16 ? 65520 : 0x1.FFp127)
      numbers += [largest, largest.nextUp, end.nextDown, end, -end, .greatestFiniteMagnitude]
      try onBothClasses(device) {
        let x = try device.backend.array(numbers, shape: [numbers.count])
        let out = try device.backend.allocate([numbers.count], dtype)
        try device.backend.convert(x, into: out)
        let got: [Float] = try device.backend.scalars(out)
        let wrong = numbers.indices.first {
          got[$0].bitPattern != Float(format.rounded(Double(numbers[$0]))).bitPattern
        }
        #expect(wrong == nil, "\(numbers[wrong ?? 0]) became \(got[wrong ?? 0])")
      }
    }

    /// A device that has no 16-bit kernel at all.
    final class PlainBackend: InterceptingBackend {
      let inner: any Backend
      init(_ inner: any Backend) { self.inner = inner }
      func takesHalf(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
      ) -> Bool { operation == .convert }
      func intercept(
        _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
        _ body: DeviceCall
      ) throws(DeviceError) { try body(inner, inputs, outputs) }
    }

    /// Kernels that read and write 16 bits give the bits that float32 kernels give between
    /// conversions.
    @Test(arguments: TestDevices.all)
    func ownKernelsEqualConversions(_ device: Device) throws {
      try onBothClasses(device) {
        let plain = Device(PlainBackend(device.backend.innermost))
        for one in HalfStorageCases.all where one.sizeClass == .small {
          let results = try [device, plain].map { device in
            try HalfStorageTests.run(one, on: device)
          }
          #expect(results[0] == results[1], "\(one.id) on \(device)")
        }
      }
    }

    /// The bits of a case's outputs and of the gradients of its operands.
    private static func run(_ one: OperationCase, on device: Device) throws -> [[UInt32]] {
      let tensors = try zip(one.inputs, one.values).map { input, values in
        switch values {
        case .float32(let numbers): try Tensor(numbers, shape: input.shape, on: device)
        case .int32(let numbers): try Tensor(numbers, shape: input.shape, on: device)
        case .uint8(let numbers): try Tensor(numbers, shape: input.shape, on: device)
        }
      }
      var outputs: [Tensor] = []
      let leaves = tensors.filter { $0.dtype == .float32 }
      let gradients = try valueAndGradient(at: leaves) { () throws(TensorError) in
        outputs = try one.run(CaseOperands(tensors: tensors, device: device))
        return try (outputs[0] * outputs[0]).sum()
      }.gradients
      return try (outputs.filter(\.dtype.isFloat) + gradients).map {
        try $0.scalars().map(\.bitPattern)
      }
    }
  }
}

extension Backend {
  /// Uploads numbers into an array of 16-bit elements.
  func upload(halves numbers: [Float], to array: NDArray) throws(DeviceError) {
    let bits = numbers.map { array.dtype.halfBits($0) ?? 0 }
    let result: Result<Void, DeviceError> = bits.withUnsafeBytes { bytes in
      Result { () throws(DeviceError) in try upload(bytes, to: array) }
    }
    try result.get()
  }
}
