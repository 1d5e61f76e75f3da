internal import CKeelLoops
package import KeelBackend

extension CPUBackend: ReductionBackend {
  package func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError) {
    countLaunch()
    guard out.count > 0 else { return }
    let plan = ReductionPlan(kind, CPUBackend.runs(x.shape, reducing: axes))
    let partials = try scratch(plan.parts * plan.outputs, of: Double.self)
    let (input, output) = (x.floats, out.floats)
    let results: UnsafeMutablePointer<Double> = partials.pointer()
    withUnsafePointer(to: plan.call) { call in
      concurrently(plan.tasks) { task in
        let range = plan.range(task)
        keel_reduce(
          call, input, range.kept.lowerBound, range.kept.upperBound, range.reduced.lowerBound,
          range.reduced.upperBound, range.inner.lowerBound, range.inner.upperBound,
          results + range.part * plan.outputs)
      }
      let divisor = kind == .mean ? Double(x.count / out.count) : 1
      inParts(of: partSize, plan.outputs) { begin, end in
        keel_reduce_parts(
          call.pointee.kind, results, plan.parts, plan.outputs, begin, end, divisor, output)
      }
    }
  }
}

/// A reduction cut into tasks: blocks of what is kept, parts of what is reduced, tiles of columns.
private struct ReductionPlan {
  private(set) var call = keel_reduction()
  /// How many partial results each output has.
  private(set) var parts = 1
  /// How many outputs there are.
  private(set) var outputs = 1
  private var kept = 1
  private var reduced = 1
  private var keptPerTask = 1
  private var reducedPerPart = 1
  private var innerPerTask = 1

  init(_ kind: ReductionKind, _ runs: [(extent: Int, reduced: Bool)]) {
    let runs = runs.isEmpty ? [(extent: 1, reduced: true)] : runs
    let last = runs[runs.count - 1]
    describe(kind, runs)
    innerPerTask = last.extent
    reducedPerPart = reduced
    if last.reduced {
      outputs = kept
      if reduced == 1, last.extent > 2 * partSize { innerPerTask = partSize }
    } else {
      outputs = kept * last.extent
      innerPerTask = min(last.extent, 2048)
    }
    if reduced * innerPerTask > 2 * partSize {
      reducedPerPart = min(reduced, max(1, partSize / innerPerTask))
    }
    parts = (reduced + reducedPerPart - 1) / reducedPerPart
    if last.reduced { parts *= (last.extent + innerPerTask - 1) / innerPerTask }
    keptPerTask = max(1, partSize / (reducedPerPart * innerPerTask))
  }

  private mutating func describe(
    _ kind: ReductionKind, _ runs: [(extent: Int, reduced: Bool)]
  ) {
    let inner = runs[runs.count - 1]
    var keptAxes: [(extent: Int, stride: Int)] = []
    var reducedAxes: [(extent: Int, stride: Int)] = []
    var stride = inner.extent
    for run in runs.dropLast().reversed() {
      if run.reduced {
        reducedAxes.insert((run.extent, stride), at: 0)
      } else {
        keptAxes.insert((run.extent, stride), at: 0)
      }
      stride *= run.extent
    }
    // Axes that only were of extent 1: one row to reduce.
    if !inner.reduced, reducedAxes.isEmpty { reducedAxes = [(1, inner.extent)] }
    kept = keptAxes.reduce(1) { $0 * $1.extent }
    reduced = reducedAxes.reduce(1) { $0 * $1.extent }
    call.kind = kind.code
    call.reduces_inner = inner.reduced
    call.inner = inner.extent
    call.kept_rank = keptAxes.count
    call.reduced_rank = reducedAxes.count
    store(keptAxes.map(\.extent), in: &call.kept_extents)
    store(keptAxes.map(\.stride), in: &call.kept_strides)
    store(reducedAxes.map(\.extent), in: &call.reduced_extents)
    store(reducedAxes.map(\.stride), in: &call.reduced_strides)
  }

  private var keptTasks: Int { (kept + keptPerTask - 1) / keptPerTask }
  private var reducedTasks: Int { (reduced + reducedPerPart - 1) / reducedPerPart }
  private var innerTasks: Int { (call.inner + innerPerTask - 1) / innerPerTask }

  var tasks: Int { keptTasks * reducedTasks * innerTasks }

  /// What a task reduces and which partial result it makes.
  func range(
    _ task: Int
  ) -> (kept: Range<Int>, reduced: Range<Int>, inner: Range<Int>, part: Int) {
    let innerTask = task % innerTasks
    let reducedTask = task / innerTasks % reducedTasks
    let keptTask = task / innerTasks / reducedTasks
    let part = call.reduces_inner ? reducedTask * innerTasks + innerTask : reducedTask
    return (
      cut(keptTask, keptPerTask, kept), cut(reducedTask, reducedPerPart, reduced),
      cut(innerTask, innerPerTask, call.inner), part
    )
  }

  private func cut(_ index: Int, _ size: Int, _ count: Int) -> Range<Int> {
    index * size..<min(count, (index + 1) * size)
  }
}

extension ReductionKind {
  fileprivate var code: Int32 {
    switch self {
    case .sum, .mean: Int32(bitPattern: KEEL_SUM.rawValue)
    case .max: Int32(bitPattern: KEEL_MAX.rawValue)
    case .min: Int32(bitPattern: KEEL_MIN.rawValue)
    }
  }
}
