package import KeelBackend

extension OpenCLBackend: ReductionBackend {
  package func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    if out.count == 0 { return }
    var runs = Self.runs(x.shape, reducing: axes)
    if !runs.contains(where: \.reduced) {
      // One element to each result; a run of one gives it back.
      runs.append((1, true))
    }
    // The mean is a sum whose last pass divides.
    let count = Float(runs.reduce(1) { $1.reduced ? $0 * $1.extent : $0 })
    var source = x
    var remaining = source.count
    // Each pass takes the innermost reduced run away.
    while let place = runs.lastIndex(where: \.reduced) {
      let reduced = runs[place].extent
      let inner = runs[(place + 1)...].reduce(1) { $0 * $1.extent }
      let pass = ReductionPass(
        kind: kind, outer: remaining / (reduced * inner), reduced: reduced, inner: inner)
      runs.remove(at: place)
      remaining /= reduced
      let isLast = !runs.contains(where: \.reduced)
      let result = isLast ? out : try scratch(remaining)
      try reduce(source, pass, divisor: isLast && kind == .mean ? count : 1, into: result)
      source = result
    }
  }

  /// One reduction of a middle axis, in one launch or two.
  func reduce(
    _ x: NDArray, _ pass: ReductionPass, divisor: Float, into out: NDArray
  ) throws(DeviceError) {
    if pass.inner == 1 {
      try reduceRows(x, pass, divisor: divisor, into: out)
    } else {
      try reduceColumns(x, pass, divisor: divisor, into: out)
    }
  }

  private func reduceRows(
    _ x: NDArray, _ pass: ReductionPass, divisor: Float, into out: NDArray
  ) throws(DeviceError) {
    let plan = ReductionRowsPlan(pass, isCPUClass: isCPUClass, units: limits.computeUnits)
    let result = plan.parts == 1 ? out : try scratch(pass.outer * plan.parts)
    try launch(
      "reduction_rows", from: .reduction, options: pass.options(plan.width, plan.group),
      grid: plan.grid, x, result, UInt32(pass.outer), UInt32(pass.reduced), UInt32(plan.parts),
      UInt32(plan.partColumns), UInt32(plan.teamRows), plan.parts == 1 ? divisor : 1)
    guard plan.parts > 1 else { return }
    var rest = pass
    rest.reduced = plan.parts
    try reduceRows(result, rest, divisor: divisor, into: out)
  }

  private func reduceColumns(
    _ x: NDArray, _ pass: ReductionPass, divisor: Float, into out: NDArray
  ) throws(DeviceError) {
    let plan = ReductionColumnsPlan(pass, isCPUClass: isCPUClass, units: limits.computeUnits)
    // Few columns: `fold` rows side by side are as many columns as a vector holds.
    let reduced = pass.reduced / plan.fold
    let inner = pass.inner * plan.fold
    let isWhole = plan.fold == 1 && plan.parts == 1
    let result = isWhole ? out : try scratch(pass.outer * plan.parts * inner)
    let factor = isWhole ? divisor : 1
    if plan.group == 1 {
      try launch(
        "reduction_columns", from: .reduction,
        options: pass.options(plan.width, 1) + ["MOST=\(plan.most)"],
        grid: plan.grid,
        x, result, UInt32(pass.outer), UInt32(reduced), UInt32(inner), UInt32(plan.parts),
        UInt32(plan.partRows), UInt32(plan.itemBlocks), factor)
    } else {
      try launch(
        "reduction_columns_team", from: .reduction, options: pass.options(1, plan.group),
        grid: plan.grid, x, result, UInt32(reduced), UInt32(inner), UInt32(plan.parts),
        UInt32(plan.partRows), factor)
    }
    guard !isWhole else { return }
    var rest = pass
    rest.reduced = plan.parts * plan.fold
    rest.isSecond = true
    try reduceColumns(result, rest, divisor: divisor, into: out)
  }
}

/// A reduction of the middle axis of outer x reduced x inner.
struct ReductionPass {
  let kind: ReductionKind
  let outer: Int
  var reduced: Int
  let inner: Int
  /// Whether it sums the parts of a pass before: it is small and not cut again.
  var isSecond = false

  init(kind: ReductionKind, outer: Int, reduced: Int, inner: Int) {
    self.kind = kind
    self.outer = outer
    self.reduced = reduced
    self.inner = inner
  }

  func options(_ width: Int, _ group: Int) -> [String] {
    let code =
      switch kind {
      case .sum, .mean: 0
      case .max: 1
      case .min: 2
      }
    return ["KIND=\(code)", "KEEL_WIDTH=\(width)", "KEEL_GROUP=\(group)"]
  }

  /// How many rows to lay side by side so that `columns` columns come together; 1 where that is
  /// not possible.
  static func fold(reduced: Int, inner: Int, toReach columns: Int) -> Int {
    if inner >= columns { return 1 }
    let least = ceilDivide(columns, inner)
    let most = min(4 * least, reduced / 2)
    guard least <= most else { return 1 }
    return (least...most).first { reduced % $0 == 0 } ?? 1
  }
}
