package import KeelBackend

extension OpenCLBackend: GatherBackend {
  package func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int, into out: NDArray
  ) throws(DeviceError) {
    if out.count == 0 { return }
    let rows = outer * indices.count
    let widest = isCPUClass ? 16 : 4
    let width = inner >= widest ? widest : 1
    let partColumns = isCPUClass ? min(4096, ceilDivide(inner, width) * width) : width
    let itemRows = isCPUClass ? max(1, 4096 / partColumns) : 1
    let columnParts = ceilDivide(inner, partColumns)
    let items = ceilDivide(rows, itemRows) * columnParts
    try launch(
      "gather", from: .gather, options: ["KEEL_WIDTH=\(width)"],
      grid: isCPUClass ? .tiles(items) : .items(items, local: 128), x, indices, out, UInt64(rows),
      UInt32(extent), UInt32(indices.count), UInt32(inner), UInt32(columnParts),
      UInt32(partColumns), UInt32(itemRows))
  }

  package func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int,
    into dx: NDArray
  ) throws(DeviceError) {
    if indices.count == 0 { return try fill(dx, with: 0) }
    let width = isCPUClass && inner > 1 ? 16 : 1
    let vectors = ceilDivide(inner, width)
    let grid: Grid =
      isCPUClass ? .tiles(vectors, extent) : .items(vectors, extent, local: (32, 4))
    try launch(
      "gather_gradient", from: .gather, options: ["KEEL_WIDTH=\(width)"], grid: grid, dy, indices,
      dx, UInt32(outer), UInt32(extent), UInt32(indices.count), UInt32(inner))
  }
}
