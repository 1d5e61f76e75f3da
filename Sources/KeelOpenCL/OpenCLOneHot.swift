package import KeelBackend

extension OpenCLBackend: OneHotBackend {
  package func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError) {
    if out.count == 0 { return }
    let rows = indices.count
    let classes = out.count / rows
    let itemRows = isCPUClass ? max(1, 4096 / classes) : 1
    let items = ceilDivide(rows, itemRows)
    try launch(
      "one_hot", from: .oneHot, grid: isCPUClass ? .tiles(items) : .items(items, local: 64),
      indices, out, UInt32(rows), UInt32(classes), UInt32(itemRows))
  }
}
