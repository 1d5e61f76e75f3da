/// A device: memory, transfers, and one small protocol per family of operations.
///
/// Every operation writes into arrays that the caller hands over, and starts after the operations
/// that were given before it. Operands have passed the door (the methods of `Tensor`): shapes and
/// element types are right, arrays belong to this device, destinations do not overlap inputs
/// unless a method says so. A device may still be at work when a method returns.
package protocol Backend:
  AnyObject, Sendable, PointwiseBackend, BiasActivationBackend, ConvertBackend, ReductionBackend,
  ArgmaxBackend,
  FillBackend, StridedCopyBackend, GatherBackend, OneHotBackend, MatmulBackend,
  Convolution2DBackend, Pooling2DBackend, LSTMBackend, GRUBackend, BatchNormalizationBackend,
  LayerNormalizationBackend,
  SoftmaxBackend, SoftmaxCrossEntropyBackend, RandomBackend, DropoutBackend,
  GradientTelescopeBackend, StepControlBackend, GradientClipBackend,
  OptimizerStepBackend, GradientNoiseBackend, RegularizationBackend, UnitNormBackend,
  MultiplyAddPeakBackend
{
  var info: DeviceDescription { get }
  var counters: DeviceCounters { get }
  /// The tuned choices of kernels; nil where all are those of the planning functions.
  var tuningRecord: TuningRecord? { get }

  /// How products are computed now.
  var productPrecision: ProductPrecision { get }
  /// Chooses how products are computed from now on; throws where the device cannot.
  func setProductPrecision(_ precision: ProductPrecision) throws(DeviceError)

  /// Whether a method takes these arrays as they are where some have 16-bit elements. Where not,
  /// ``HalfStorageBackend`` hands it float32 copies.
  func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool

  /// Lets ``DeviceCounters/peakBytes`` begin again at what is in use now.
  func resetPeakBytes()

  /// New memory, its contents undefined.
  func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray

  /// Copies `bytes` (exactly `array.byteCount`) to the device. The bytes may be reused on return.
  func upload(_ bytes: UnsafeRawBufferPointer, to array: NDArray) throws(DeviceError)

  /// Waits for `array` and copies it to `bytes` (exactly `array.byteCount`).
  func download(_ array: NDArray, to bytes: UnsafeMutableRawBufferPointer) throws(DeviceError)

  /// Waits until all work given so far is done, and throws what failed of it.
  func synchronize() throws(DeviceError)

  /// The bytes of an array where the host may read and write them in place: of devices whose work
  /// is done when a method returns and whose memory is the host's. Nil of all others.
  func hostMemory(of array: NDArray) -> UnsafeMutableRawBufferPointer?
}

extension Backend {
  package var tuningRecord: TuningRecord? { nil }

  package var productPrecision: ProductPrecision { .float32 }

  package func setProductPrecision(_ precision: ProductPrecision) throws(DeviceError) {
    guard precision == .tensorFloat32 else { return }
    throw .unsupported(
      operation: "tf32", reason: "\(info.name) has no tensor cores; leave it out")
  }

  package func hostMemory(of array: NDArray) -> UnsafeMutableRawBufferPointer? { nil }

  package func takesHalf(
    _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray]
  ) -> Bool { operation == .convert }

  /// The innermost device, without what was put around it.
  package var innermost: any Backend {
    var backend: any Backend = self
    while let wrapper = backend as? any InterceptingBackend { backend = wrapper.inner }
    return backend
  }

  /// Uploads an array of numbers into new memory.
  package func array<Scalar: DeviceScalar>(
    _ values: [Scalar], shape: Shape
  ) throws(DeviceError) -> NDArray {
    precondition(values.count == shape.count)
    let array = try allocate(shape, Scalar.dtype)
    try upload(values, to: array)
    return array
  }

  /// Uploads numbers into an existing array of equal count.
  package func upload<Scalar: DeviceScalar>(
    _ values: [Scalar], to array: NDArray
  ) throws(DeviceError) {
    precondition(array.dtype == Scalar.dtype && array.count == values.count)
    let result: Result<Void, DeviceError> = values.withUnsafeBytes { bytes in
      Result { () throws(DeviceError) in try upload(bytes, to: array) }
    }
    try result.get()
  }

  /// The elements of an array, read back (waits for the device). Those of 16 bits are read as
  /// float32.
  package func scalars<Scalar: DeviceScalar>(
    _ array: NDArray, as type: Scalar.Type = Scalar.self
  ) throws(DeviceError) -> [Scalar] {
    if array.dtype.isHalf, Scalar.self == Float.self, array.count > 0 {
      let wide = try allocate(array.shape, .float32)
      try convert(array, into: wide)
      return try scalars(wide, as: Scalar.self)
    }
    precondition(array.dtype == Scalar.dtype || array.count == 0)
    var failure: DeviceError?
    let values = [Scalar](unsafeUninitializedCapacity: array.count) { buffer, count in
      do throws(DeviceError) {
        try download(array, to: UnsafeMutableRawBufferPointer(buffer))
        count = array.count
      } catch {
        failure = error
        count = 0
      }
    }
    if let failure { throw failure }
    return values
  }
}
