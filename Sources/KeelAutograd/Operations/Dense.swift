public import KeelBackend

extension Tensor {
  /// A fully connected layer: y[…, o] = activation(bias[o] + sum over i of x[…, i] * weight[i, o]),
  /// in one kernel.
  ///
  /// - Parameters:
  ///   - weight: in x out.
  ///   - bias: out.
  ///   - activation: what has no derivative in terms of its output (softplus, gelu, silu) runs as a
  ///     kernel of its own.
  /// - Throws: ``TensorError/shape(_:)`` unless the last axis has `in` elements.
  public func dense(
    _ weight: Tensor, bias: Tensor? = nil, activation: Activation = .identity
  ) throws(TensorError) -> Tensor {
    try requireFloat("dense", self, weight, bias)
    try requireOneDevice("dense", [self, weight, bias])
    guard weight.shape.rank == 2 else {
      throw .shape(ShapeError("dense", requires: "a weight of in x out", got: weight.shape))
    }
    guard let inner = shape.extents.last else {
      throw .shape(ShapeError("dense", requires: "an input of one axis or more", got: shape))
    }
    guard inner == weight.shape[0] else {
      throw .shape(
        ShapeError(
          "dense",
          requires: "equal inner extents; axis \(shape.rank - 1) of the input is \(inner), "
            + "axis 0 of the weight \(weight.shape[0])",
          got: shape, weight.shape))
    }
    let columns = weight.shape[1]
    try requireVector("dense", "bias", bias, columns)
    let result = try usableShape(shape.extents.dropLast() + [columns], "dense")
    let rows = shape.extents.dropLast().reduce(1, *)
    let geometry = MatmulGeometry(rows: rows, inner: inner, columns: columns)

    let fused = activation.isFusable ? activation : .identity
    let (x, w, backend) = (value, weight.value, backend)
    let epilogue = Epilogue(bias: bias?.value, activation: fused)
    let y = try compute(on: device, result, dtype) { (y) throws(DeviceError) in
      try backend.matmul(x, w, geometry, epilogue, into: y)
    }
    let inputs = [self, weight] + (bias.map { [$0] } ?? [])
    let links = inputs.map { _ in GradientLink.computed }
    // The result is kept where the activation's derivative asks for it, and only there.
    let (rowsKept, output) = (KeptArray(self), fused == .identity ? nil : y)
    let layer = attach(
      .matmul, inputs, y, links: links, overwritesUpstream: fused != .identity
    ) { (dy, dx) throws(DeviceError) in
      let db = dx.count > 2 ? dx[2] : nil
      // Without an activation the bias' gradient is a sum that the weight's product reads anyway.
      let sumsAlong = fused == .identity && dx[1] != nil && dy.dtype == .float32
      try backend.pullEpilogue(
        fused, output: output ?? dy, upstream: dy, bias: sumsAlong ? nil : db,
        needsInner: dx[0] != nil || dx[1] != nil)
      let dz = dy
      if let destination = dx[0] {
        let product = MatmulGeometry(
          rows: rows, inner: columns, columns: inner, transposeRight: true)
        try backend.matmul(dz, w, product, .none, into: destination)
      }
      if let destination = dx[1] {
        let x = try rowsKept.array()
        let product = MatmulGeometry(
          rows: inner, inner: rows, columns: columns, transposeLeft: true)
        if sumsAlong, let db {
          try backend.matmul(x, dz, product, into: destination, columnSums: db)
        } else {
          try backend.matmul(x, dz, product, .none, into: destination)
        }
      }
    }
    return activation.isFusable ? layer : try layer.activate("dense", activation)
  }
}

/// Refuses an optional operand that is not one number for each column or channel.
func requireVector(
  _ operation: String, _ name: String, _ tensor: Tensor?, _ count: Int
) throws(TensorError) {
  guard let tensor, tensor.shape != [count] else { return }
  throw .shape(
    ShapeError(operation, requires: "a \(name) of shape \(count)", got: tensor.shape))
}
