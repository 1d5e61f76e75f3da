internal import KeelBackend

/// How a reduction along rows is spread over teams.
struct ReductionRowsPlan {
  let width: Int
  let group: Int
  /// Parts that each row is cut into; they are reduced again.
  let parts: Int
  let partColumns: Int
  /// Rows per team.
  let teamRows: Int
  let grid: Grid

  init(_ pass: ReductionPass, isCPUClass: Bool, units: Int) {
    let (rows, columns) = (pass.outer, pass.reduced)
    if isCPUClass {
      width = columns >= 16 ? 16 : 1
      group = 1
      // A part holds enough to hide the start of its work-item, a row less than that is shared.
      let wanted = min(ceilDivide(columns, 16384), ceilDivide(units * 8, rows))
      partColumns = ceilDivide(ceilDivide(columns, wanted), 64) * 64
      parts = ceilDivide(columns, partColumns)
      teamRows = parts > 1 ? 1 : max(1, 4096 / columns)
      grid = .tiles(ceilDivide(rows, teamRows) * parts)
      return
    }
    teamRows = 1
    guard columns >= 32 else {
      (width, group, parts, partColumns) = (1, 1, 1, columns)
      grid = .items(rows, local: 64)
      return
    }
    width = columns >= 1024 ? 4 : 1
    group = columns >= 256 ? 256 : 64
    let wanted = min(ceilDivide(columns, 8192), ceilDivide(units * 16, rows))
    partColumns = ceilDivide(ceilDivide(columns, wanted), 1024) * 1024
    parts = ceilDivide(columns, partColumns)
    grid = .groups(rows * parts, of: group)
  }
}

/// How a reduction along columns is spread over work-items or teams.
struct ReductionColumnsPlan {
  let fold: Int
  let width: Int
  /// Lanes of a team; 1 for work-items on their own.
  let group: Int
  /// Parts that the reduced axis is cut into; they are reduced again.
  let parts: Int
  let partRows: Int
  /// Blocks of columns that a work-item takes one after the other.
  let itemBlocks: Int
  let grid: Grid

  /// Vectors that a work-item on its own carries.
  let most: Int

  /// So few numbers that one work-item has summed them before a second launch would have started.
  private static let fewNumbers = 8192

  init(_ pass: ReductionPass, isCPUClass: Bool, units: Int) {
    let isSmall = isCPUClass && pass.outer * pass.reduced * pass.inner <= Self.fewNumbers
    let folded =
      pass.isSecond || isSmall
      ? 1
      : ReductionPass.fold(
        reduced: pass.reduced, inner: pass.inner, toReach: isCPUClass ? 16 : 32)
    fold = folded
    let reduced = pass.reduced / folded
    let inner = pass.inner * folded
    if isCPUClass {
      width = inner >= 16 ? 16 : 1
      most = 256
      group = 1
      let blocks = pass.outer * ceilDivide(inner, width * most)
      // Parts of 64 rows or more, as many as keep all threads busy.
      let wanted =
        pass.isSecond || isSmall
        ? 1 : min(ceilDivide(reduced, 64), ceilDivide(units * 8, blocks))
      partRows = ceilDivide(reduced, wanted)
      parts = ceilDivide(reduced, partRows)
      itemBlocks = max(1, 4096 / (partRows * min(inner, width * most)))
      grid = .tiles(ceilDivide(blocks * parts, itemBlocks))
      return
    }
    (width, most, itemBlocks) = (1, 1, 1)
    let blocks = pass.outer * ceilDivide(inner, 32)
    let wanted = pass.isSecond ? 1 : min(ceilDivide(reduced, 128), ceilDivide(units * 8, blocks))
    partRows = ceilDivide(reduced, wanted)
    parts = ceilDivide(reduced, partRows)
    group = partRows >= 16 ? 256 : 1
    grid =
      group == 1
      ? .items(pass.outer * parts * inner, local: 64) : .groups(blocks * parts, of: group)
  }
}
