internal import CKeelLoops
package import KeelBackend

extension CPUBackend: BiasActivationBackend {
  package func biasActivationGradient(
    output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    into dz: NDArray?, bias db: NDArray?
  ) throws(DeviceError) {
    countLaunch()
    guard y.count > 0 else {
      if let db { clear(db) }
      return
    }
    let rows = WideRows(y.shape)
    let (output, upstream, result) = (y.floats, dy.floats, dz?.floats)
    let (code, parameter) = (Int32(activation.kernelCode), activation.kernelParameter)
    guard let db else {
      guard let result else { return }
      rows.forEachPart { begin, count in
        keel_bias_activation_gradient(
          output + begin, upstream + begin, result + begin, count, rows.period, nil, code,
          parameter)
      }
      return
    }
    let gradient = db.floats
    try rows.sums(
      1, on: self,
      adding: { begin, count, sums in
        keel_bias_activation_gradient(
          output + begin, upstream + begin, result.map { $0 + begin }, count, rows.period, sums,
          code, parameter)
      },
      use: { sums in
        for column in 0..<rows.columns { gradient[column] = Float(sums[column]) }
      })
  }
}
