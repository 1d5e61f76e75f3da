internal import CKeelLoops
package import KeelBackend

extension CPUBackend: MatmulBackend {
  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue,
    into c: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard c.count > 0 else { return }
    guard geometry.inner > 0 else { return fillWithActivatedBias(c, epilogue) }
    let (geometry, repeats) = CPUBackend.foldingBatch(geometry)
    let operation = try dnn.operation(.matmul(geometry, hasBias: epilogue.bias != nil))
    let scratch = try scratch(operation.scratchBytes, of: UInt8.self)
    let size = geometry.rows * geometry.columns
    for index in 0..<repeats {
      try operation.execute(
        a.floats, b.floats, bias: epilogue.bias?.floats, into: c.floats + index * size,
        scratch: scratch.base)
    }
    activate(c, epilogue.activation)
  }

  /// The same products in fewer, larger ones, and how often to repeat the whole.
  private static func foldingBatch(
    _ geometry: MatmulGeometry
  ) -> (geometry: MatmulGeometry, repeats: Int) {
    var folded = geometry
    guard geometry.batch > 1, geometry.rightBatchStride == 0 else { return (geometry, 1) }
    if geometry.leftBatchStride == 0 {
      // Both are shared: every matrix of the batch is the same product.
      folded.batch = 1
      return (folded, geometry.batch)
    }
    guard !geometry.transposeLeft else { return (geometry, 1) }
    folded.rows *= geometry.batch
    folded.batch = 1
    folded.leftBatchStride = 0
    return (folded, 1)
  }

  /// c = activation(bias): what remains of a product over nothing.
  func fillWithActivatedBias(_ c: NDArray, _ epilogue: Epilogue) {
    let columns = c.shape[c.shape.rank - 1]
    let (out, bias) = (c.floats, epilogue.bias?.floats)
    let activation = epilogue.activation
    inRows(c.count / columns, columns: columns) { begin, end in
      keel_activated_bias(
        out + begin * columns, (end - begin) * columns, bias, columns, Int32(activation.kernelCode),
        activation.kernelParameter)
    }
  }

  /// y = activation(y). oneDNN's own relu drops NaN, so activations are ours.
  func activate(_ y: NDArray, _ activation: Activation) {
    guard activation != .identity else { return }
    let out = y.floats
    inParts(of: partSize, y.count) { begin, end in
      keel_activate(
        out + begin, end - begin, Int32(activation.kernelCode), activation.kernelParameter)
    }
  }
}
