/// Operands that do not fit an operation.
public struct ShapeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The operation that refused.
  public let operation: String
  /// What it requires, as the end of "requires …".
  public let requirement: String
  /// What it got.
  public let got: String

  /// An error that names the operation, its requirement and the shapes it got.
  public init(_ operation: String, requires requirement: String, got shapes: Shape...) {
    self.init(
      operation, requires: requirement,
      gotText: shapes.map(\.description).joined(separator: " and "))
  }

  /// An error whose offending value is not a shape.
  public init(_ operation: String, requires requirement: String, gotText: String) {
    self.operation = operation
    self.requirement = requirement
    self.got = gotText
  }

  /// Such as `matmul: requires equal inner extents, got 3x4 and 5x6`.
  public var description: String { "\(operation): requires \(requirement), got \(got)" }
}

/// A failure of a device or its driver.
public enum DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No device answers to the selector; `available` lists those there are.
  case notFound(selector: String, available: [String])
  /// A program did not build.
  case buildFailed(program: String, log: String)
  /// A driver function failed with a status.
  case callFailed(function: String, status: String)
  /// The device refused an allocation, in bytes.
  case outOfMemory(requested: Int, available: Int)
  /// The device lacks the operation.
  case unsupported(operation: String, reason: String)
  /// A guard around an operation's output was overwritten.
  case guardOverwritten(operation: String)
  /// The device stopped answering.
  case lost(device: String)
  /// A result differs from the reference device's by more than rounding explains.
  case wrongResult(finding: String)

  /// One sentence.
  public var description: String {
    switch self {
    case .notFound(let selector, let available):
      "no device matches '\(selector)'; available: \(available.joined(separator: ", "))"
    case .buildFailed(let program, let log):
      "the kernel program '\(program)' does not build; the compiler says:\n\(log)"
    case .callFailed(let function, let status): "\(function) failed with \(status)"
    case .outOfMemory(let requested, let available):
      "device memory exhausted: asked for \(requested) bytes, about \(available) available; "
        + "use a smaller batch or model"
    case .unsupported(let operation, let reason):
      "\(operation) is not supported on this device: \(reason)"
    case .guardOverwritten(let operation): "\(operation) wrote outside its output"
    case .lost(let device): "the device '\(device)' stopped answering"
    case .wrongResult(let finding): finding
    }
  }
}

/// What a tensor operation throws: a mistake in its operands, or a failure of the device.
public enum TensorError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Operands that do not fit.
  case shape(ShapeError)
  /// A failure of the device.
  case device(DeviceError)

  /// The sentence of the error inside.
  public var description: String {
    switch self {
    case .shape(let error): error.description
    case .device(let error): error.description
    }
  }
}

/// Runs device work and turns its error into a ``TensorError``.
@inlinable
package func onDevice<Result>(
  _ body: () throws(DeviceError) -> Result
) throws(TensorError) -> Result {
  do { return try body() } catch { throw .device(error) }
}
