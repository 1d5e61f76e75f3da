package import KeelBackend

extension OpenCLBackend: ArgmaxBackend {
  package func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError) {
    let extent = x.shape[axis]
    let inner = x.shape.extents[(axis + 1)...].reduce(1, *)
    let itemResults = isCPUClass ? max(1, 2048 / max(1, extent)) : 1
    let items = ceilDivide(out.count, itemResults)
    try launch(
      "argmax", from: .argmax, grid: isCPUClass ? .tiles(items) : .items(items, local: 64), x, out,
      UInt32(extent), UInt64(inner), UInt64(out.count), UInt32(itemResults))
  }
}
