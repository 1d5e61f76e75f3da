// Arrays that go from device to device, and a look at their elements.
//
// Through the host's own memory where one of the devices lives there: an array of Swift in between
// is fresh pages from the system each time, which takes several times as long as the copy.
extension Backend {
  /// A copy of an array of another device (or of this one).
  func newCopy(of array: NDArray, on source: any Backend) throws(DeviceError) -> NDArray {
    guard array.count > 0 else {
      return try allocate([1], array.dtype).view(offset: 0, shape: array.shape)
    }
    let copy = try allocate(array.shape, array.dtype)
    try self.copy(array, on: source, into: copy)
    return copy
  }

  /// Copies the elements of another device's array.
  func copy(
    _ array: NDArray, on source: any Backend, into copy: NDArray
  ) throws(DeviceError) {
    guard array.byteCount > 0 else { return }
    if let memory = hostMemory(of: copy) {
      try source.download(array, to: memory)
    } else if let memory = source.hostMemory(of: array) {
      try upload(UnsafeRawBufferPointer(memory), to: copy)
    } else {
      let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: array.byteCount, alignment: NDArray.alignment)
      defer { bytes.deallocate() }
      try source.download(array, to: bytes)
      try upload(UnsafeRawBufferPointer(bytes), to: copy)
    }
  }

  /// Reads elements, in place where the host can.
  func withElements<Scalar: DeviceScalar, Result>(
    _ array: NDArray, as type: Scalar.Type = Scalar.self,
    _ body: (UnsafeBufferPointer<Scalar>) -> Result
  ) throws(DeviceError) -> Result {
    precondition(array.dtype == Scalar.dtype)
    if let memory = hostMemory(of: array) {
      return body(UnsafeBufferPointer(memory.assumingMemoryBound(to: Scalar.self)))
    }
    return try scalars(array, as: Scalar.self).withUnsafeBufferPointer(body)
  }

  /// Changes float32 elements, in place where the host can.
  func changeElements(
    _ array: NDArray, _ body: (UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(DeviceError) {
    if let memory = hostMemory(of: array) {
      return body(memory.assumingMemoryBound(to: Float.self))
    }
    var values: [Float] = try scalars(array)
    values.withUnsafeMutableBufferPointer { body($0) }
    try upload(values, to: array)
  }
}
