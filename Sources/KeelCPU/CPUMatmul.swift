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
    let size = geometry.rows * geometry.columns
    for index in 0..<repeats {
      try multiply(a.floats, b.floats, geometry, epilogue.bias?.floats, c.floats + index * size)
    }
    activate(c, epilogue.activation)
  }

  /// c = a * b + bias, divided by matrices of the batch or by rows.
  private func multiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ geometry: MatmulGeometry,
    _ bias: UnsafePointer<Float>?, _ c: UnsafeMutablePointer<Float>
  ) throws(DeviceError) {
    let isBatch = geometry.batch > 1
    let parts = WorkParts(
      isBatch ? geometry.batch : geometry.rows, flops: geometry.flops, cores: info.computeUnits)
    let leftStep =
      isBatch ? geometry.leftBatchStride : geometry.transposeLeft ? 1 : geometry.inner
    let rightStep = isBatch ? geometry.rightBatchStride : 0
    let step = isBatch ? geometry.rows * geometry.columns : geometry.columns
    try runParts(
      parts,
      key: { part in
        OneDNN.Key(
          work: .matmul(
            geometry, batch: isBatch ? part.count : 1, rows: isBatch ? geometry.rows : part.count),
          hasBias: bias != nil, part: part.number)
      },
      run: { (part, operation, scratch) throws(DeviceError) in
        try operation.execute(
          a + part.start * leftStep, b + part.start * rightStep, bias: bias,
          into: c + part.start * step, scratch: scratch)
      })
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

  /// y = activation(y). nothing promises that oneDNN's relu keeps NaN, so activations are ours.
  func activate(_ y: NDArray, _ activation: Activation) {
    guard activation != .identity else { return }
    let out = y.floats
    inParts(of: partSize, y.count) { begin, end in
      keel_activate(
        out + begin, end - begin, Int32(activation.kernelCode), activation.kernelParameter)
    }
  }
}
