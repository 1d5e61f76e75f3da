/// A device on which every operation takes arrays of 16-bit elements.
///
/// What the device inside takes as it is goes through. For everything else the 16-bit arrays are
/// converted to float32 before the operation and results converted back after it, rounded once; the
/// copies live no longer than the call. So no operation has to know 16-bit elements, and one that
/// learns to read and write them gives the same bits as before, only sooner.
///
/// ``Device`` puts it around every device that does not have it inside already.
package final class HalfStorageBackend: InterceptingBackend {
  package let inner: any Backend

  private init(_ inner: any Backend) { self.inner = inner }

  /// The device with this wrapper around it, unless it takes everything already.
  package static func around(_ backend: any Backend) -> any Backend {
    // No device has 16-bit kernels for this one: it passes nothing but this wrapper.
    let takesAll = backend.takesHalf(.multiplyAddPeak, method: "", inputs: [], outputs: [])
    return takesAll ? backend : HalfStorageBackend(backend)
  }

  /// The device without this wrapper where that is the outermost.
  package static func inside(_ backend: any Backend) -> any Backend {
    (backend as? HalfStorageBackend)?.inner ?? backend
  }

  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool { true }

  package func intercept(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
    _ body: DeviceCall
  ) throws(DeviceError) {
    guard
      inputs.contains(where: \.dtype.isHalf) || outputs.contains(where: \.dtype.isHalf),
      !inner.takesHalf(operation, method: method, inputs: inputs, outputs: outputs)
    else { return try body(inner, inputs, outputs) }
    var copies: [(narrow: NDArray, wide: NDArray)] = []
    var (wideInputs, wideOutputs) = (inputs, outputs)
    for position in inputs.indices where inputs[position].dtype.isHalf {
      wideInputs[position] = try copy(of: inputs[position], isRead: true, &copies)
    }
    let readsOutputs = HalfStorageBackend.readsOutputs(operation)
    for position in outputs.indices where outputs[position].dtype.isHalf {
      wideOutputs[position] = try copy(of: outputs[position], isRead: readsOutputs, &copies)
    }
    try body(inner, wideInputs, wideOutputs)
    for position in outputs.indices
    where outputs[position].dtype.isHalf && outputs[position].count > 0 {
      try inner.convert(wideOutputs[position], into: outputs[position])
    }
  }

  /// A float32 copy; what is one memory stays one, so that an operation in place is one.
  private func copy(
    of array: NDArray, isRead: Bool, _ copies: inout [(narrow: NDArray, wide: NDArray)]
  ) throws(DeviceError) -> NDArray {
    if let known = copies.first(where: { $0.narrow.isSameMemory(as: array) }) {
      return known.wide.reshaped(array.shape)
    }
    guard array.count > 0 else {
      return try inner.allocate([1], .float32).view(offset: 0, shape: array.shape)
    }
    let wide = try inner.allocate(array.shape, .float32)
    if isRead { try inner.convert(array, into: wide) }
    copies.append((array, wide))
    return wide
  }

  /// Whether an operation leaves elements of its outputs as they are, or reads them.
  private static func readsOutputs(_ operation: OperationName) -> Bool {
    switch operation {
    case .stridedCopy, .stepControl, .gradientClip, .optimizerStep, .gradientNoise,
      .regularization, .unitNorm:
      true
    default: false
    }
  }
}
