internal import CKeelLoops
package import KeelBackend

extension CPUBackend: GatherBackend {
  package func gather(
    _ x: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int, into out: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard out.count > 0 else { return }
    let (input, output) = (x.floats, out.floats)
    let positions = indices.pointer(as: Int32.self)
    inRows(outer * indices.count, columns: inner) { begin, end in
      keel_gather(input, positions, extent, inner, output, indices.count, begin, end)
    }
  }

  package func gatherGradient(
    upstream dy: NDArray, _ indices: NDArray, outer: Int, extent: Int, inner: Int,
    into dx: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard dx.count > 0 else { return }
    let (upstream, result) = (dy.floats, dx.floats)
    let positions = indices.pointer(as: Int32.self)
    // Each part owns rows of dx (and columns, where they are many) and walks all indices: sums
    // run in ascending order whatever the parts.
    let columnsPerPart = min(inner, 1024)
    let columnParts = (inner + columnsPerPart - 1) / columnsPerPart
    let rowParts = min(extent, 8)
    let rowsPerPart = (extent + rowParts - 1) / rowParts
    concurrently(outer * columnParts * rowParts) { task in
      let slice = task / columnParts / rowParts
      let column = task / rowParts % columnParts * columnsPerPart
      let row = min(extent, task % rowParts * rowsPerPart)
      keel_gather_gradient(
        upstream + slice * indices.count * inner, positions, indices.count, inner,
        result + slice * extent * inner, row, min(extent, row + rowsPerPart), column,
        min(inner, column + columnsPerPart))
    }
  }
}
