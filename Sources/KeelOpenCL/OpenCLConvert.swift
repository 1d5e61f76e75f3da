package import KeelBackend

extension OpenCLBackend: ConvertBackend {
  package func convert(_ x: NDArray, into out: NDArray) throws(DeviceError) {
    if out.count == 0 { return }
    let widens = out.dtype == .float32
    let width = isCPUClass ? 16 : 4
    let chunk = isCPUClass ? elementChunk(out.count) : width
    let items = ceilDivide(out.count, chunk)
    try launch(
      widens ? "convert_to_float32" : "convert_from_float32", from: .convert,
      options: ["KEEL_WIDTH=\(width)"] + (widens ? x : out).dtype.halfOptions,
      grid: isCPUClass ? .tiles(items) : .items(items, local: 128), x, out, UInt64(out.count),
      UInt64(chunk))
  }

  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool {
    let arrays = inputs + outputs
    switch operation {
    case .convert, .fill: return true
    // But for the bias.
    case .matmul, .convolution2D: return inputs.count < 3 || !inputs[2].dtype.isHalf
    case .stridedCopy: return inputs[0].dtype == outputs[0].dtype
    case .pointwise: return Set(arrays.map(\.dtype).filter(\.isHalf)).count == 1
    case .pooling2D: return Set(arrays.map(\.dtype).filter(\.isFloat)).count == 1
    case .dropout, .biasActivation, .batchNormalization:
      // What has the size of the images is in one type, what has that of the channels in float32.
      let largest = arrays.reduce(0) { max($0, $1.count) }
      let images = Set(arrays.filter { $0.count == largest }.map(\.dtype))
      return images.count == 1
        && !arrays.contains { $0.count < largest && $0.dtype.isHalf }
    default: return false
    }
  }
}

extension OpenCLBackend {
  /// A float32 copy of an array of 16-bit elements; others as they are.
  func widened(_ array: NDArray) throws(DeviceError) -> NDArray {
    guard array.dtype.isHalf else { return array }
    let wide = try scratch(max(1, array.count)).view(offset: 0, shape: array.shape)
    try convert(array, into: wide)
    return wide
  }

  /// Lets `write` fill a float32 array that is then rounded into `out`; `out` itself if that is
  /// float32.
  func narrowing(
    _ out: NDArray, _ write: (NDArray) throws(DeviceError) -> Void
  ) throws(DeviceError) {
    guard out.dtype.isHalf else { return try write(out) }
    let wide = try scratch(max(1, out.count)).view(offset: 0, shape: out.shape)
    try write(wide)
    try convert(wide, into: out)
  }
}

extension DType {
  /// The option that tells `prelude_half.cl` which 16-bit type an array has; nil for others.
  var halfOption: String? {
    switch self {
    case .float16: "KEEL_HALF=1"
    case .bfloat16: "KEEL_HALF=2"
    case .float32, .int32, .uint8: nil
    }
  }

  /// The same as a list.
  var halfOptions: [String] { [halfOption].compactMap { $0 } }
}
