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
      let summary = try backend.newArray([2])
      if x.count == 0 {
        try backend.fill(summary, with: 0)
      } else {
        try backend.globalNormClip(x, limit: nil, into: summary)
      }
      return summary.view(offset: 0, shape: .scalar)
    }
    return Tensor(value: norm, device: device, origin: .constant)
  }
}
