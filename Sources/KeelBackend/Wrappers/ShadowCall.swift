/// The arrays of a call, copied to another device. What is one memory there is one here.
struct ShadowCall {
  let device: any Backend
  private(set) var inputs: [NDArray]
  private(set) var outputs: [NDArray]

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

  /// The same call with copies of what it writes; what it only reads is shared.
  func keepingOutputs() throws(DeviceError) -> ShadowCall {
    var call = self
    for array in Self.distinct(outputs) { try call.replace(array) }
    return call
  }

  /// The same call with copies of what it writes, and with other numbers in the float32 arrays that
  /// `isChanged` picks by their position among ``distinctNumbers``; the rest is shared.
  func changing(
    where isChanged: (_ array: Int) -> Bool = { _ in true },
    _ transform: (_ array: Int, _ values: UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(DeviceError) -> ShadowCall {
    var call = try keepingOutputs()
    for (position, array) in distinctNumbers.enumerated() where isChanged(position) {
      let isWritten = outputs.contains { $0.isSameMemory(as: array) }
      if !isWritten { try call.replace(array) }
      let place = (inputs + outputs).firstIndex { $0.isSameMemory(as: array) }
      guard let place else { continue }
      try device.changeElements((call.inputs + call.outputs)[place]) { transform(position, $0) }
    }
    return call
  }

  /// The float32 arrays, each memory once.
  var distinctNumbers: [NDArray] {
    Self.distinct((inputs + outputs).filter { $0.dtype == .float32 && $0.count > 0 })
  }

  private static func distinct(_ arrays: [NDArray]) -> [NDArray] {
    var found: [NDArray] = []
    for array in arrays where !found.contains(where: { $0.isSameMemory(as: array) }) {
      found.append(array)
    }
    return found
  }

  /// Puts a copy in every place where an array stands.
  private mutating func replace(_ array: NDArray) throws(DeviceError) {
    let copy = try device.newCopy(of: array, on: device)
    func replaced(_ other: NDArray) -> NDArray {
      other.isSameMemory(as: array) ? copy.reshaped(other.shape) : other
    }
    inputs = inputs.map(replaced)
    outputs = outputs.map(replaced)
  }
}
