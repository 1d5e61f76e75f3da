public import KeelBackend

/// An array of numbers on a device, which remembers how it was computed.
///
/// A method that computes something starts the work on the tensor's device and returns at once;
/// only reading (``scalars()``, ``item()``) waits. Where an input ``requiresGradient``, the method
/// also records how gradients flow back, for ``valueAndGradient(at:_:)``.
///
/// A tensor is not `Sendable`: one training loop owns its tensors.
public final class Tensor {
  /// The extents.
  public let shape: Shape
  /// The type of the elements. Computation gives float32, or float16 or bfloat16 where its operands
  /// are (``cast(to:)``); int32 and uint8 hold data.
  public let dtype: DType
  /// Where the elements are.
  public let device: Device
  /// The elements in the device's memory.
  package let value: NDArray
  /// How gradients get from here to where they are wanted.
  var origin: Origin
  /// Makes the same elements once more, to the bit, from what a pullback keeps anyway; nil where
  /// that takes more than one pass.
  var remake: Remake?

  typealias Remake = () throws(DeviceError) -> NDArray

  /// Whether gradients flow to or through this tensor: true for a leaf that was made so and for
  /// everything that is computed from one by differentiable operations.
  public var requiresGradient: Bool {
    if case .constant = origin { false } else { true }
  }

  package var backend: any Backend { device.backend }

  init(value: NDArray, device: Device, origin: Origin) {
    self.shape = value.shape
    self.dtype = value.dtype
    self.device = device
    self.value = value
    self.origin = origin
  }

  /// A leaf over existing memory, such as a slice of a parameter arena.
  package convenience init(value: NDArray, device: Device, requiresGradient: Bool) {
    precondition(!requiresGradient || value.dtype.isFloat)
    self.init(value: value, device: device, origin: requiresGradient ? .leaf : .constant)
  }

  /// A tensor of the given numbers, row-major.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there are as many numbers as the shape has
  ///   elements.
  public convenience init(
    _ values: [Float], shape: Shape, on device: Device, requiresGradient: Bool = false
  ) throws(TensorError) {
    let value = try Tensor.upload(values, shape, device)
    self.init(value: value, device: device, requiresGradient: requiresGradient)
  }

  /// A tensor of the given integers, such as labels or indices.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there are as many numbers as the shape has
  ///   elements.
  @_disfavoredOverload
  public convenience init(
    _ values: [Int32], shape: Shape, on device: Device
  ) throws(TensorError) {
    let value = try Tensor.upload(values, shape, device)
    self.init(value: value, device: device, origin: .constant)
  }

  /// A tensor of the given bytes, such as the pixels of images.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there are as many numbers as the shape has
  ///   elements.
  @_disfavoredOverload
  public convenience init(
    _ values: [UInt8], shape: Shape, on device: Device
  ) throws(TensorError) {
    let value = try Tensor.upload(values, shape, device)
    self.init(value: value, device: device, origin: .constant)
  }

  /// A scalar.
  ///
  /// - Throws: ``TensorError/device(_:)``.
  public convenience init(_ number: Float, on device: Device) throws(TensorError) {
    let value = try onDevice { () throws(DeviceError) in
      let value = try device.backend.allocate(.scalar, .float32)
      try device.backend.fill(value, with: number)
      return value
    }
    self.init(value: value, device: device, origin: .constant)
  }

  /// The same elements, as a constant: gradients do not flow through it.
  public func detached() -> Tensor { Tensor(value: value, device: device, origin: .constant) }

  private static func upload<Scalar: DeviceScalar>(
    _ values: [Scalar], _ shape: Shape, _ device: Device
  ) throws(TensorError) -> NDArray {
    try requireUsable(shape, "tensor")
    guard values.count == shape.count else {
      throw .shape(
        ShapeError(
          "tensor", requires: "\(shape.count) values for the shape \(shape)",
          gotText: "\(values.count)"))
    }
    return try onDevice { () throws(DeviceError) in
      let array = try device.backend.newArray(shape, Scalar.dtype)
      if !values.isEmpty { try device.backend.upload(values, to: array) }
      return array
    }
  }
}

extension Tensor {
  /// The elements, row-major, read back from the device (waits for it); those of 16 bits as the
  /// float32 numbers that they are.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for whole numbers.
  public func scalars() throws(TensorError) -> [Float] { try read("scalars") }

  /// The elements of an int32 tensor, row-major, read back from the device (waits for it).
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the elements are int32.
  public func int32Scalars() throws(TensorError) -> [Int32] { try read("int32Scalars") }

  /// The elements of a uint8 tensor, row-major, read back from the device (waits for it).
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the elements are uint8.
  public func uint8Scalars() throws(TensorError) -> [UInt8] { try read("uint8Scalars") }

  /// The one element, read back from the device (waits for it).
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless there is exactly one element, not of whole numbers.
  public func item() throws(TensorError) -> Float {
    guard shape.count == 1 else {
      throw .shape(ShapeError("item", requires: "exactly one element", got: shape))
    }
    return try read("item", as: Float.self)[0]
  }

  private func read<Scalar: DeviceScalar>(
    _ operation: String, as type: Scalar.Type = Scalar.self
  ) throws(TensorError) -> [Scalar] {
    guard dtype == Scalar.dtype || (dtype.isHalf && Scalar.dtype == .float32) else {
      throw .shape(
        ShapeError(operation, requires: "\(Scalar.dtype) elements", gotText: "\(dtype)"))
    }
    if shape.count == 0 { return [] }
    let (value, backend) = (value, backend)
    return try onDevice { () throws(DeviceError) in
      try backend.scalars(value, as: Scalar.self)
    }
  }
}

extension Tensor: CustomStringConvertible {
  /// Shape, element type and device, such as `32x10 float32 on cpu`; no elements are read.
  public var description: String { "\(shape) \(dtype) on \(device.info.selector)" }
}

extension Backend {
  /// New memory; an empty array gets memory too, so that devices never see a size of zero.
  package func newArray(_ shape: Shape, _ dtype: DType = .float32) throws(DeviceError) -> NDArray {
    guard shape.count == 0 else { return try allocate(shape, dtype) }
    return try allocate([1], dtype).view(offset: 0, shape: shape)
  }

  /// A destination, or new memory for what must be written though nobody asked for it.
  func given(_ array: NDArray?, or shape: Shape) throws(DeviceError) -> NDArray {
    if let array { return array }
    return try newArray(shape)
  }
}
