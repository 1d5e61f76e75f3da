package import KeelBackend

extension OpenCLBackend: StridedCopyBackend {
  package func stridedCopy(
    _ x: NDArray, _ source: StridedPattern, into out: NDArray, _ destination: StridedPattern,
    extents: [Int]
  ) throws(DeviceError) {
    if extents.contains(0) { return }
    var axes = CopyAxis.merged(extents, source.strides, destination.strides)
    let operands = CopyOperands(
      x: x, out: out, sourceOffset: source.offset, destinationOffset: destination.offset)
    // Where the source is dense along one axis and the destination along another, a tile is turned.
    if let place = axes.firstIndex(where: { $0.source == 1 }), place != axes.count - 1,
      axes.last?.destination == 1, axes[place].extent >= 8, (axes.last?.extent ?? 0) >= 8
    {
      let lines = axes.remove(at: place)
      let across = axes.removeLast()
      return try transpose(operands, axes, lines: lines, across: across)
    }
    let inner = axes.popLast() ?? CopyAxis(extent: 1, source: 1, destination: 1)
    if axes.isEmpty, inner.source == 1, inner.destination == 1,
      try copyBytes(operands, count: inner.extent)
    {
      return
    }
    if inner.source == 1 && inner.destination == 1 {
      try copyRows(operands, axes, columns: inner.extent)
    } else {
      try copyElements(operands, axes, inner)
    }
  }

  /// A copy of few elements side by side; false if it is not done.
  private func copyBytes(_ operands: CopyOperands, count: Int) throws(DeviceError) -> Bool {
    let size = operands.x.dtype.byteCount
    // A command is one core's work on some drivers.
    guard count * size <= 1 << 16 else { return false }
    return try copyBytes(
      from: operands.x, at: operands.sourceOffset * size, to: operands.out,
      at: operands.destinationOffset * size, count: count * size)
  }

  private func copyRows(
    _ operands: CopyOperands, _ outer: [CopyAxis], columns: Int
  ) throws(DeviceError) {
    let rows = outer.reduce(1) { $0 * $1.extent }
    // Short rows go in halves and quarters of a CPU's vector.
    let width = isCPUClass ? columns >= 4 ? 16 : 1 : columns >= 4 ? 4 : 1
    let share = isCPUClass ? elementChunk(rows * columns) : width
    let partColumns = min(share, ceilDivide(columns, width) * width)
    let partRows = max(1, share / partColumns)
    let columnParts = ceilDivide(columns, partColumns)
    let items = ceilDivide(rows, partRows) * columnParts
    try launch(
      "strided_copy_rows", from: .stridedCopy,
      options: operands.options(outer, ["KEEL_WIDTH=\(width)"]),
      grid: isCPUClass ? .tiles(items) : .items(items, local: 128), operands,
      CopyPattern(outer), UInt32(rows), UInt64(columns), UInt32(columnParts),
      UInt64(partColumns), UInt32(partRows))
  }

  private func copyElements(
    _ operands: CopyOperands, _ outer: [CopyAxis], _ inner: CopyAxis
  ) throws(DeviceError) {
    let rows = outer.reduce(1) { $0 * $1.extent }
    let share = isCPUClass ? elementChunk(rows * inner.extent) : 1
    let partColumns = min(share, inner.extent)
    let partRows = max(1, share / partColumns)
    let columnParts = ceilDivide(inner.extent, partColumns)
    let items = ceilDivide(rows, partRows) * columnParts
    try launch(
      "strided_copy_elements", from: .stridedCopy,
      options: operands.options(outer, ["KEEL_WIDTH=1"]),
      grid: isCPUClass ? .tiles(items) : .items(items, local: 128), operands,
      CopyPattern(outer), UInt32(rows), UInt32(inner.extent), Int32(inner.source),
      Int32(inner.destination), UInt32(columnParts), UInt32(partColumns), UInt32(partRows))
  }

  private func transpose(
    _ operands: CopyOperands, _ outer: [CopyAxis], lines: CopyAxis, across: CopyAxis
  ) throws(DeviceError) {
    let batch = outer.reduce(1) { $0 * $1.extent }
    // BLOCK_ROWS and BLOCK_COLUMNS of the kernel, or the side of a team's tile.
    let (height, width) = isCPUClass ? (256, 32) : (16, 16)
    let tiles = batch * ceilDivide(lines.extent, height) * ceilDivide(across.extent, width)
    let pattern = CopyPattern(outer)
    let (rows, columns) = (UInt32(lines.extent), UInt32(across.extent))
    let (sourceStep, destinationStep) = (Int32(across.source), Int32(lines.destination))
    if isCPUClass {
      try launch(
        "strided_copy_transpose", from: .stridedCopy,
        options: operands.options(outer, ["KEEL_WIDTH=16"]), grid: .tiles(tiles), operands,
        pattern, rows, columns, sourceStep, destinationStep)
    } else {
      try launch(
        "strided_copy_transpose_team", from: .stridedCopy,
        options: operands.options(outer, ["KEEL_GROUP=256"]), grid: .groups(tiles, of: 256),
        operands, pattern, rows, columns, sourceStep, destinationStep)
    }
  }
}

/// One axis of a copy: its extent, and the distance of neighbours in both arrays.
private struct CopyAxis {
  var extent: Int
  var source: Int
  var destination: Int

  /// Axes of extent 1 dropped, neighbours merged where both patterns allow it.
  static func merged(_ extents: [Int], _ source: [Int], _ destination: [Int]) -> [CopyAxis] {
    var axes: [CopyAxis] = []
    for axis in extents.indices where extents[axis] != 1 {
      let own = CopyAxis(
        extent: extents[axis], source: source[axis], destination: destination[axis])
      if let last = axes.last, last.source == own.source * own.extent,
        last.destination == own.destination * own.extent
      {
        axes[axes.count - 1] = CopyAxis(
          extent: last.extent * own.extent, source: own.source, destination: own.destination)
      } else {
        axes.append(own)
      }
    }
    return axes
  }
}

/// The arrays of a copy and where their patterns start.
private struct CopyOperands: KernelArgument {
  let x: NDArray
  let out: NDArray
  let sourceOffset: Int
  let destinationOffset: Int

  func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try x.bind(to: &arguments)
    try out.bind(to: &arguments)
    try UInt64(bitPattern: Int64(sourceOffset)).bind(to: &arguments)
    try UInt64(bitPattern: Int64(destinationOffset)).bind(to: &arguments)
  }

  func options(_ outer: [CopyAxis], _ more: [String]) -> [String] {
    ["TYPE=\(x.dtype.storageName)", "OUTER=\(outer.count)"] + more
  }
}

/// The outer axes of a copy as vectors, innermost first.
private struct CopyPattern: KernelArgument {
  private var extents = SIMD8<UInt32>(repeating: 1)
  private var source = SIMD8<Int32>()
  private var destination = SIMD8<Int32>()

  init(_ axes: [CopyAxis]) {
    for (place, axis) in axes.reversed().enumerated() {
      extents[place] = UInt32(axis.extent)
      source[place] = Int32(axis.source)
      destination[place] = Int32(axis.destination)
    }
  }

  func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try extents.bind(to: &arguments)
    try source.bind(to: &arguments)
    try destination.bind(to: &arguments)
  }
}
