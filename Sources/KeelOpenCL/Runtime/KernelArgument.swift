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
  private var position: cl_uint = 0

  init(_ library: OpenCLLibrary, kernel: OpaquePointer) {
    self.library = library
    self.kernel = kernel
  }

  mutating func setStatus(_ size: Int, _ value: UnsafeRawPointer?) -> cl_int {
    defer { position += 1 }
    return library.api.clSetKernelArg(kernel, position, size, value)
  }

  mutating func set(_ size: Int, _ value: UnsafeRawPointer?) throws(DeviceError) {
    try check(setStatus(size, value), "clSetKernelArg")
  }

  mutating func set(memory: OpaquePointer?) throws(DeviceError) {
    // A null pointer is handed over as a null value: drivers differ on a pointer to null.
    guard var memory else {
      return try set(MemoryLayout<OpaquePointer>.size, nil)
    }
    try set(MemoryLayout<OpaquePointer>.size, &memory)
  }
}

extension NDArray: KernelArgument {
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try arguments.set(memory: OpenCLStorage.of(self).memory(of: self))
  }
}

extension Optional: KernelArgument where Wrapped == NDArray {
  /// Nil becomes a null pointer.
  package func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    guard let array = self else { return try arguments.set(memory: nil) }
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
