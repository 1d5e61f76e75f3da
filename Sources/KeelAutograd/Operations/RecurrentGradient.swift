internal import KeelBackend

extension RecurrentGeometry {
  /// Tells a listener the gradient of every hidden state, last step first.
  func tell(
    _ tap: StateTap, _ dh: NDArray, _ backend: any Backend
  ) throws(DeviceError) {
    let step = try backend.newArray([batch, units])
    for (time, _) in order.reversed() {
      try backend.stridedCopy(
        dh, StridedPattern(offset: time * units, strides: [steps * units, 1]), into: step,
        StridedPattern(strides: [units, 1]), extents: [batch, units])
      try tap(time, step)
    }
  }
}

extension RecurrentSequence {
  var geometry: RecurrentGeometry {
    RecurrentGeometry(
      batch: batch, steps: steps, features: features, units: units, isReversed: isReversed)
  }

  /// The gradients of x, W, U and bias (where asked for) from those of z = x · W + bias and
  /// q = before · U, rows in the order of x.
  func finish(
    dz: NDArray, dq: NDArray, before: NDArray, into dx: [NDArray?]
  ) throws(DeviceError) {
    let (rows, columns) = (batch * steps, gates * units)
    if let destination = dx[0] {
      let product = MatmulGeometry(
        rows: rows, inner: columns, columns: features, transposeRight: true)
      try backend.matmul(dz, inputWeight, product, .none, into: destination)
    }
    let weights = [(x, features, dz, dx[1]), (before, units, dq, dx[2])]
    for (operand, extent, flow, destination) in weights {
      guard let destination else { continue }
      let product = MatmulGeometry(rows: extent, inner: rows, columns: columns, transposeLeft: true)
      try backend.matmul(operand, flow, product, .none, into: destination)
    }
    if dx.count > 3, let destination = dx[3] {
      try backend.reduce(.sum, dz, axes: [0], into: destination)
    }
  }
}
