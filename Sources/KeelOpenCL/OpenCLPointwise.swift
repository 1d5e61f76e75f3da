package import KeelBackend

extension OpenCLBackend: PointwiseBackend {
  package func pointwise(
    _ expression: Expression, _ inputs: [NDArray], into out: NDArray
  ) throws(DeviceError) {
    if out.count == 0 { return }
    let program = PointwiseProgram(expression)
    let plan = PointwisePlan(
      program, inputs, out, isCPUClass: isCPUClass, units: limits.computeUnits)
    let source = try pointwiseSource(plan.key)
    let operands = PointwiseArguments(
      arrays: plan.key.inputs.map { inputs[$0.position] }, parameters: program.parameters)
    let half = (inputs + [out]).first(where: \.dtype.isHalf)?.dtype
    let options = ["KEEL_WIDTH=\(plan.key.width)"] + (half?.halfOptions ?? [])
    guard plan.key.outerRank > 0 else {
      return try launch(
        "pointwise_flat", source: source, options: options,
        grid: plan.grid, operands, out, UInt64(out.count), UInt64(plan.partColumns),
        UInt32(inputs.contains { $0.isSameMemory(as: out) } ? 1 : 0))
    }
    try launch(
      "pointwise_rows", source: source, options: options, grid: plan.grid, operands, out,
      UInt32(plan.rows), UInt32(plan.columns), UInt32(ceilDivide(plan.columns, plan.partColumns)),
      UInt32(plan.partColumns), UInt32(plan.partRows), PointwiseStrides(values: plan.outer))
  }

  /// The text of a formula, made once: the program is compiled once per text.
  private func pointwiseSource(_ key: PointwiseKernelKey) throws(DeviceError) -> KernelSource {
    lock.lock()
    defer { lock.unlock() }
    if let known = pointwiseKernels[key] { return known }
    let source = try KernelSource(name: "pointwise", text: key.text())
    pointwiseKernels[key] = source
    return source
  }
}

/// The inputs and numbers of a formula, however many.
private struct PointwiseArguments: KernelArgument {
  let arrays: [NDArray]
  let parameters: [Float]

  func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    for array in arrays { try array.bind(to: &arguments) }
    for parameter in parameters { try parameter.bind(to: &arguments) }
  }
}

/// Extents and strides of the outer axes.
private struct PointwiseStrides: KernelArgument {
  let values: [Int]

  func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    for value in values { try UInt32(value).bind(to: &arguments) }
  }
}

/// How the elements of one call are spread over work-items.
private struct PointwisePlan {
  let key: PointwiseKernelKey
  let grid: Grid
  let rows: Int
  let columns: Int
  /// Elements along a row per work-item; all elements of a chunk where there is one row.
  let partColumns: Int
  let partRows: Int
  /// Extents of the outer axes but the first, then the outer strides of each input.
  let outer: [Int]

  init(
    _ program: PointwiseProgram, _ inputs: [NDArray], _ out: NDArray, isCPUClass: Bool, units: Int
  ) {
    let used = Set(
      program.instructions.compactMap { if case .input(let i) = $0 { i } else { nil } }
    ).sorted()
    let axes = Self.merged(out.shape, used.map { inputs[$0].shape.broadcastStrides(to: out.shape) })
    columns = axes.last?.extent ?? 1
    rows = out.count / columns
    let outerAxes = axes.dropLast()
    let widest = isCPUClass ? 16 : 4
    // A row of less than a vector is not worth vectors.
    let width = outerAxes.isEmpty || columns >= widest ? widest : 1
    key = PointwiseKernelKey(
      instructions: program.instructions,
      inputs: used.enumerated().map { place, position in
        .init(
          position: position, dtype: inputs[position].dtype,
          isOne: (axes.last?.strides[place] ?? 0) == 0)
      }, result: out.dtype, parameterCount: program.parameters.count, outerRank: outerAxes.count,
      width: width)
    outer =
      outerAxes.dropFirst().map(\.extent)
      + used.indices.flatMap { place in outerAxes.map { $0.strides[place] } }
    guard isCPUClass else {
      partColumns = width
      partRows = 1
      grid = .items(rows * ceilDivide(columns, width), local: 128)
      return
    }
    // Chunks are big enough to hide their start and many enough to share among threads; both
    // are multiples of a vector.
    let share = max(4096, ceilDivide(out.count, units * 8))
    partColumns = ceilDivide(min(columns, share), 16) * 16
    partRows = max(1, share / partColumns)
    grid = .tiles(ceilDivide(rows, partRows) * ceilDivide(columns, partColumns))
  }

  private typealias Axis = (extent: Int, strides: [Int])

  /// The axes of the output with the strides of every input, neighbours merged where all inputs
  /// allow it. Inputs are dense, so the innermost strides are 0 or 1.
  private static func merged(_ shape: Shape, _ strides: [[Int]]) -> [Axis] {
    var axes: [Axis] = []
    for axis in 0..<shape.rank where shape[axis] != 1 {
      let own = strides.map { $0[axis] }
      if let last = axes.last,
        last.strides.indices.allSatisfy({ last.strides[$0] == own[$0] * shape[axis] })
      {
        axes[axes.count - 1] = (last.extent * shape[axis], own)
      } else {
        axes.append((shape[axis], own))
      }
    }
    return axes
  }
}
