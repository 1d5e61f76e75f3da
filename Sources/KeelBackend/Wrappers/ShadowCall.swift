/// The arrays of a call, copied to another device. What is one memory there is one here.
struct ShadowCall {
  let device: any Backend
  let inputs: [NDArray]
  let outputs: [NDArray]

  private struct Place: Hashable {
    let storage: ObjectIdentifier
    let offset: Int
    let byteCount: Int
  }

  init(
    _ inputs: [NDArray], _ outputs: [NDArray], from source: any Backend, to device: any Backend
  ) throws(DeviceError) {
    self.device = device
    var copies: [Place: NDArray] = [:]
    var arrays: [NDArray] = []
    for array in inputs + outputs {
      let place = Place(
        storage: ObjectIdentifier(array.storage), offset: array.byteOffset,
        byteCount: array.byteCount)
      if let known = copies[place], known.dtype == array.dtype {
        arrays.append(known.reshaped(array.shape))
      } else {
        let copy = try device.newCopy(of: array, on: source)
        copies[place] = copy
        arrays.append(copy)
      }
    }
    self.inputs = Array(arrays.prefix(inputs.count))
    self.outputs = Array(arrays.dropFirst(inputs.count))
  }

  private init(device: any Backend, inputs: [NDArray], outputs: [NDArray]) {
    (self.device, self.inputs, self.outputs) = (device, inputs, outputs)
  }

  /// The same call with copies of what it writes; what it only reads is shared.
  func keepingOutputs() throws(DeviceError) -> ShadowCall {
    let written = try ShadowCall([], outputs, from: device, to: device).outputs
    let read = inputs.map { input in
      guard let place = outputs.firstIndex(where: { $0.isSameMemory(as: input) }) else {
        return input
      }
      return written[place].reshaped(input.shape)
    }
    return ShadowCall(device: device, inputs: read, outputs: written)
  }

  /// The same arrays once more, on the same device.
  func copy() throws(DeviceError) -> ShadowCall {
    try ShadowCall(inputs, outputs, from: device, to: device)
  }

  /// The same arrays once more with numbers changed; `transform` gets the position among the
  /// distinct arrays.
  func copy(
    changing transform: (_ array: Int, _ values: inout [Float]) -> Void
  ) throws(DeviceError) -> ShadowCall {
    let copy = try copy()
    for (position, array) in copy.distinctNumbers.enumerated() {
      var values: [Float] = try device.scalars(array)
      transform(position, &values)
      try device.upload(values, to: array)
    }
    return copy
  }

  /// The float32 arrays, each memory once.
  var distinctNumbers: [NDArray] {
    var found: [NDArray] = []
    for array in inputs + outputs where array.dtype == .float32 && array.count > 0 {
      if !found.contains(where: { $0.isSameMemory(as: array) }) { found.append(array) }
    }
    return found
  }
}

extension Backend {
  /// A copy of an array of another device.
  fileprivate func newCopy(
    of array: NDArray, on source: any Backend
  ) throws(DeviceError) -> NDArray {
    guard array.count > 0 else {
      return try allocate([1], array.dtype).view(offset: 0, shape: array.shape)
    }
    switch array.dtype {
    case .float32:
      return try self.array(try source.scalars(array, as: Float.self), shape: array.shape)
    case .int32:
      return try self.array(try source.scalars(array, as: Int32.self), shape: array.shape)
    case .uint8:
      return try self.array(try source.scalars(array, as: UInt8.self), shape: array.shape)
    }
  }
}
