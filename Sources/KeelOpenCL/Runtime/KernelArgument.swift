internal import COpenCL
package import KeelBackend

/// A value that a kernel takes as an argument.
package protocol KernelArgument {
  func bind(to arguments: inout KernelArguments) throws(DeviceError)
}

/// The arguments of one launch, set in order.
package struct KernelArguments {
  let library: OpenCLLibrary
  let kernel: OpaquePointer
  /// Who is told the arguments too; nil is the rule.
  let notes: OpenCLArgumentNotes?
  var position: cl_uint = 0

  init(_ library: OpenCLLibrary, kernel: OpaquePointer, notes: OpenCLArgumentNotes? = nil) {
    self.library = library
    self.kernel = kernel
    self.notes = notes
  }

  private mutating func setNext(_ size: Int, _ value: UnsafeRawPointer?) -> cl_int {
    defer { position += 1 }
    return library.api.clSetKernelArg(kernel, position, size, value)
  }

  mutating func setStatus(_ size: Int, _ value: UnsafeRawPointer?) -> cl_int {
    notes?.add(size, value)
    return setNext(size, value)
  }

  mutating func set(_ size: Int, _ value: UnsafeRawPointer?) throws(DeviceError) {
    try check(setStatus(size, value), "clSetKernelArg")
  }

  mutating func set(_ array: NDArray) throws(DeviceError) {
    let storage = OpenCLStorage.of(array)
    var memory: OpaquePointer = try storage.memory(of: array)
    notes?.add(memory, of: storage, from: array.byteOffset)
    let status = setNext(MemoryLayout<OpaquePointer>.size, &memory)
    try check(status, "clSetKernelArg")
  }

  mutating func set(_ key: RandomKey) throws(DeviceError) {
    notes?.add(key, at: position)
    var value = key.halves
    try check(setNext(MemoryLayout<SIMD4<UInt32>>.size, &value), "clSetKernelArg")
  }

  /// A null pointer is handed over as a null value: drivers differ on a pointer to null.
  mutating func setNull() throws(DeviceError) {
    try set(MemoryLayout<OpaquePointer>.size, nil)
  }
}

extension NDArray: KernelArgument {
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try arguments.set(self)
  }
}

extension Optional: KernelArgument where Wrapped == NDArray {
  /// Nil becomes a null pointer.
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    guard let array = self else { return try arguments.setNull() }
    try array.bind(to: &arguments)
  }
}

/// Local memory of a group, by its size.
package struct LocalMemory: KernelArgument {
  package let bytes: Int
  package init(bytes: Int) { self.bytes = bytes }
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try arguments.set(bytes, nil)
  }
}

/// The seed and the step of a random key, two halves each: what a capture repeats with another
/// step.
package struct SeedAndStep: KernelArgument {
  let key: RandomKey
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try arguments.set(key)
  }
}

/// A number, or a vector of numbers, that is handed over as its bits.
package protocol KernelNumber: KernelArgument {}

extension KernelNumber {
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    let status = withUnsafeBytes(of: self) { bytes in
      arguments.setStatus(bytes.count, bytes.baseAddress)
    }
    try check(status, "clSetKernelArg")
  }
}

extension Float: KernelNumber {}
extension Double: KernelNumber {}
extension UInt32: KernelNumber {}
extension Int32: KernelNumber {}
extension UInt64: KernelNumber {}
extension SIMD2: KernelArgument, KernelNumber where Scalar: KernelNumber {}
extension SIMD4: KernelArgument, KernelNumber where Scalar: KernelNumber {}
extension SIMD8: KernelArgument, KernelNumber where Scalar: KernelNumber {}
