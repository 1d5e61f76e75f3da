internal import CKeelLoops
package import KeelBackend

extension CPUBackend: GlobalNormClipBackend {
  package func globalNormClip(
    _ g: NDArray, limit: Float?, into summary: NDArray
  ) throws(DeviceError) {
    countLaunch()
    let parts = (g.count + partSize - 1) / partSize
    let storage = try scratch(parts, of: Double.self)
    let (squares, gradients) = (storage.pointer(as: Double.self), g.floats)
    inParts(of: partSize, g.count) { begin, end in
      squares[begin / partSize] = keel_square_sum(gradients + begin, end - begin)
    }
    var sum = 0.0
    for part in 0..<parts { sum += squares[part] }
    let norm = Float(sum.squareRoot())
    let result = summary.floats
    result[0] = norm
    // A norm of NaN is not above the limit: the NaN itself then reaches the parameters.
    if let limit, norm > limit { result[1] = limit / norm } else { result[1] = 1 }
  }
}
