import KeelBackend
import KeelOpenCL

extension OpenCLBackend {
  func array<Scalar: DeviceScalar>(_ values: [Scalar], shape: Shape) throws -> NDArray {
    let array = try allocate(shape, Scalar.dtype)
    try values.withUnsafeBytes { try upload($0, to: array) }
    return array
  }
  func scalars<Scalar: DeviceScalar>(_ array: NDArray, as type: Scalar.Type = Float.self) throws
    -> [Scalar]
  {
    try [Scalar](unsafeUninitializedCapacity: array.count) { buffer, count in
      try download(array, to: UnsafeMutableRawBufferPointer(buffer))
      count = array.count
    }
  }
}
