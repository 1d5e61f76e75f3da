public import KeelBackend

extension Tensor {
  /// The Euclidean norm of all elements, sqrt(sum of x[i]^2), as a scalar. It neither overflows nor
  /// underflows on the way; NaN or infinity in gives NaN or infinity out. No gradient.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the elements are float32.
  public func globalNorm() throws(TensorError) -> Tensor {
    try requireFloat("globalNorm", self)
    let (x, backend) = (value, backend)
    let norm = try onDevice { () throws(DeviceError) in
      if x.count == 0 {
        let zero = try backend.newArray(.scalar)
        try backend.fill(zero, with: 0)
        return zero
      }
      let table = try TelescopeTable([(offset: 0, count: x.count)], on: backend)
      let reading = try TelescopeReading(tensors: 1, on: backend)
      try backend.gradientTelescope(x, table, wantsHistogram: false, into: reading)
      return reading.summary.view(offset: 0, shape: .scalar)
    }
    return Tensor(value: norm, device: device, origin: .constant)
  }
}
