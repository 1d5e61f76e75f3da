package import KeelBackend

extension OpenCLBackend: GradientTelescopeBackend {
  package func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError) {
    try scan(g, table, wantsHistogram: wantsHistogram, into: reading, decision: nil)
  }

  /// Looks at all chunks and puts together what was seen; then decides on a step, if one is given.
  func scan(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading,
    _ start: StepStart? = nil, limit: (kind: UInt32, value: Float) = (0, 0), decision: NDArray?
  ) throws(DeviceError) {
    let (chunks, tensors, group) = (table.chunkCount, table.tensorCount, teamSize)
    let options = ["KEEL_WIDTH=\(isCPUClass ? 16 : 4)", "KEEL_GROUP=\(group)"]
    let run = isCPUClass ? 2 : 1
    let partial = try scratch(max(1, chunks) * 8)
    let found = try scratch(max(1, chunks) * 4, .int32)
    // 16-bit counts: two of them in an int32.
    let bins = wantsHistogram ? try scratch(max(1, chunks) * 8, .int32) : nil
    try launch(
      "gradient_telescope_chunks", from: .gradientTelescope, options: options,
      grid: .groups(ceilDivide(chunks, run), of: group), g, table.chunks, partial, found, bins,
      UInt32(chunks), UInt32(run), UInt32(wantsHistogram ? 1 : 0))
    try launch(
      "gradient_telescope_finish", from: .gradientTelescope, options: options,
      grid: .groups(1, of: group), partial, found, table.tensors, reading.statistics,
      reading.counts, reading.summary, reading.faults, UInt32(tensors), start?.loss,
      start?.right, start?.schedule, start?.counters, decision,
      UInt32((start?.schedule.count ?? 0) / 4),
      UInt32(start?.rule.action.rawValue ?? 0), UInt32(clamping: start?.rule.maximumSkips ?? 0),
      start?.firstUpdate ?? 0, limit.kind, limit.value)
    if let bins {
      try launch(
        "gradient_telescope_histogram", source: .named("gradient_telescope_histogram"),
        options: options,
        grid: .groups(tensors, of: group), bins, table.tensors, reading.histogram)
    }
  }
}
