internal import KeelBackend

/// How kernels of teams are built and launched: `KEEL_WIDTH` elements to a vector, `KEEL_GROUP`
/// work-items to a team (`prelude.cl`), so many rows or rounds to each.
///
/// A plan is a function of extents and of the class of device, never of the number of cores: sums
/// then have the same shape, and the same bits, on every device of a class.
struct TeamPlan {
  /// Elements of a vector.
  let width: Int
  /// Work-items of a team.
  let group: Int
  /// Rows, or rounds of vectors, that a team takes.
  let run: Int
  let grid: Grid

  var options: [String] { ["KEEL_WIDTH=\(width)", "KEEL_GROUP=\(group)"] }

  /// Rows whose columns the lanes of a team share. `CPU`: one work-item takes some rows; `GPU`:
  /// one work-item a row while rows are short, else a group a row.
  static func rows(_ rows: Int, of columns: Int, _ device: OpenCLBackend) -> TeamPlan {
    if device.isCPUClass {
      let run = max(1, 4096 / columns)
      return TeamPlan(width: 16, group: 1, run: run, grid: .tiles(ceilDivide(rows, run)))
    }
    if columns <= 64 {
      return TeamPlan(width: 1, group: 1, run: 1, grid: .items(rows, local: 64))
    }
    let width = columns % 4 == 0 ? 4 : 1
    var group = 64
    while group < device.teamSize, group * width * 4 < columns { group *= 2 }
    group = min(group, device.teamSize)
    return TeamPlan(width: width, group: group, run: 1, grid: .groups(rows, of: group))
  }

  /// A pass over `count` elements in vectors of `width`. A team takes `cpuRun` vectors in a row on
  /// CPU-class devices, `gpuRun` rounds of a vector per lane on GPUs.
  static func elements(
    _ count: Int, width: Int, cpuRun: Int, gpuRun: Int, _ device: OpenCLBackend
  ) -> TeamPlan {
    let group = device.teamSize
    let run = device.isCPUClass ? cpuRun : gpuRun
    let teams = ceilDivide(count, width * group * run)
    return TeamPlan(width: width, group: group, run: run, grid: .groups(teams, of: group))
  }
}

extension OpenCLBackend {
  /// Work-items of a whole team: one on CPU-class devices, else 256 or what the device allows.
  var teamSize: Int {
    isCPUClass ? 1 : Int(UInt32(min(256, max(1, limits.maximumGroup))).powerOfTwoAtMost)
  }
}

extension UInt32 {
  /// The largest power of two that is not above this number, which is not 0.
  var powerOfTwoAtMost: UInt32 { 1 << UInt32(bitWidth - 1 - leadingZeroBitCount) }
}
