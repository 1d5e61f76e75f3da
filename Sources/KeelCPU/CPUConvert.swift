internal import CKeelLoops
package import KeelBackend

extension CPUBackend: ConvertBackend {
  package func convert(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    countLaunch()
    inParts(of: partSize, out.count) { begin, end in
      switch (x.dtype, out.dtype) {
      case (.float16, _):
        keel_float16_to_float32(x.pointer(as: UInt16.self), out.floats, begin, end)
      case (.bfloat16, _):
        keel_bfloat16_to_float32(x.pointer(as: UInt16.self), out.floats, begin, end)
      case (_, .float16):
        keel_float32_to_float16(x.floats, out.pointer(as: UInt16.self), begin, end)
      default:
        keel_float32_to_bfloat16(x.floats, out.pointer(as: UInt16.self), begin, end)
      }
    }
  }

  /// Copies and constants need no arithmetic.
  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool {
    switch operation {
    case .convert, .fill: true
    case .stridedCopy: inputs[0].dtype == outputs[0].dtype
    default: false
    }
  }
}
