package import KeelBackend

// What public methods check before they hand work to a device.

/// No tensor has more elements: sums and products of extents then fit an Int.
private let largestCount = 1 << 48

/// Refuses negative extents, more axes than operations accept, and extents whose product is absurd.
package func requireUsable(_ shape: Shape, _ operation: String) throws(TensorError) {
  guard shape.extents.allSatisfy({ $0 >= 0 }) else {
    throw .shape(ShapeError(operation, requires: "extents of at least 0", got: shape))
  }
  guard shape.rank <= Shape.maximumRank else {
    throw .shape(
      ShapeError(operation, requires: "at most \(Shape.maximumRank) axes", got: shape))
  }
  var count = 1
  for extent in shape.extents {
    let (product, overflow) = count.multipliedReportingOverflow(by: max(extent, 1))
    guard !overflow, product <= largestCount else {
      throw .shape(ShapeError(operation, requires: "at most 2^48 elements", got: shape))
    }
    count = product
  }
}

/// A result's shape, refused where it is unusable.
func usableShape(_ extents: [Int], _ operation: String) throws(TensorError) -> Shape {
  let shape = Shape(extents)
  try requireUsable(shape, operation)
  return shape
}

/// Refuses whole numbers. What is kept in 16 bits passes: it is computed with in float32.
func requireFloat(_ operation: String, _ tensors: Tensor?...) throws(TensorError) {
  for case let tensor? in tensors where !tensor.dtype.isFloat {
    throw .shape(
      ShapeError(
        operation, requires: "float32 elements", gotText: "\(tensor.dtype) \(tensor.shape)"))
  }
}

/// Refuses elements that are not int32.
func requireInt32(_ operation: String, _ what: String, _ tensor: Tensor) throws(TensorError) {
  guard tensor.dtype == .int32 else {
    throw .shape(
      ShapeError(
        operation, requires: "int32 \(what)", gotText: "\(tensor.dtype) \(tensor.shape)"))
  }
}

/// Refuses operands that live on different devices.
func requireOneDevice(_ operation: String, _ tensors: [Tensor?]) throws(TensorError) {
  let tensors = tensors.compactMap { $0 }
  for tensor in tensors.dropFirst() where tensor.device != tensors[0].device {
    throw .shape(
      ShapeError(
        operation, requires: "tensors on one device",
        gotText: "\(tensors[0].device.info.selector) and \(tensor.device.info.selector)"))
  }
}

/// Refuses a number unless it satisfies a condition.
func require(
  _ condition: Bool, _ operation: String, _ requirement: String, got: Any
) throws(TensorError) {
  guard condition else {
    throw .shape(ShapeError(operation, requires: requirement, gotText: "\(got)"))
  }
}

extension Shape {
  /// An axis counted from the start, given one that may be counted from the end (-1 is the last).
  func resolve(axis: Int, _ operation: String) throws(TensorError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw .shape(
        ShapeError(
          operation, requires: "an axis of the shape \(self)", gotText: "axis \(axis)"))
    }
    return axis < 0 ? axis + rank : axis
  }

  /// Distinct axes in ascending order; nil stands for all of them.
  func resolve(axes: [Int]?, _ operation: String) throws(TensorError) -> [Int] {
    guard let axes else { return Array(0..<rank) }
    var resolved: [Int] = []
    for axis in axes { resolved.append(try resolve(axis: axis, operation)) }
    guard !resolved.isEmpty, Set(resolved).count == resolved.count else {
      throw .shape(
        ShapeError(operation, requires: "distinct axes, at least one", gotText: "\(axes)"))
    }
    return resolved.sorted()
  }
}
