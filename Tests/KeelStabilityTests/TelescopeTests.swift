import Keel
import KeelAutograd
import KeelBackend
import KeelCPU
import KeelOpenCL
import Testing

/// What the telescope promises beyond its cases: sizes of real models, agreement of devices, no
/// reads by the host; and what becomes of steps.
@Suite struct TelescopeTests {
  @Test(arguments: TestDevices.all, [Float(1e20), 1e-24, 3e38, 1])
  func normsAreExactWhateverTheMagnitude(_ device: Device, _ size: Float) throws {
    let bench = try GradientBench(device, [1000, 70_001, 3])
    let tensors = bench.places.enumerated().map { number, place in
      wave(place.count, UInt64(number)).map { $0 * size * (size > 1e38 ? 1e-3 : 1) }
    }
    try bench.set(tensors)
    try bench.measure()
    for (norm, values) in zip(try bench.norms(), tensors) {
      #expect(isWithin(4, norm, plainNorm(values)))
    }
    #expect(isWithin(4, try bench.summary()[0], plainNorm(tensors.flatMap { $0 })))
    #expect(try bench.summary()[1] == tensors.joined().map(abs).max())
    // The plain sum of squares in float32 fails.
    if size == 1e20 { #expect(tensors[0].reduce(0) { $0 + $1 * $1 } == .infinity) }
    if size == 1e-24 { #expect(tensors[0].reduce(0) { $0 + $1 * $1 } == 0) }
  }

  @Test(arguments: TestDevices.all)
  func oneNaNAmongTwentyMillionIsFound(_ device: Device) throws {
    let bench = try GradientBench(device, [9_000_001, 11_000_000, 1001])
    try bench.backend.fill(bench.g, with: 0.5)
    try bench.measure()
    #expect(try bench.faults() == [0, -1])
    #expect(isWithin(4, try bench.summary()[0], (20_001_002 * 0.25).squareRoot()))
    // In the middle of the second tensor, in a block of 128 of its own memory.
    let place = (bench.places[1].offset + 7_654_321) / ArenaBlock.count * ArenaBlock.count
    let block = bench.g.view(offset: place, shape: [ArenaBlock.count])
    var values = [Float](repeating: 0.5, count: ArenaBlock.count)
    values[77] = .nan
    try bench.backend.upload(values, to: block)
    try bench.measure(wantsHistogram: true)
    #expect(try bench.faults() == [1, 1])
    #expect(try bench.counts() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    let norms = try bench.norms()
    #expect(norms[0].isFinite && norms[1].isNaN && norms[2].isFinite)
    #expect(try bench.summary().allSatisfy(\.isNaN))
    let histogram: [Int32] = try bench.backend.scalars(bench.reading.histogram)
    #expect(histogram.reduce(0, +) == 20_001_001 && histogram[16 + 7] == 10_999_999)
  }

  @Test func devicesAgree() throws {
    var readings: [[[UInt32]]] = []
    var norms: [[Float]] = []
    for device in TestDevices.all {
      let bench = try GradientBench(device, [33, 0, 8193, 40_000])
      var tensors = bench.places.enumerated().map { wave($1.count, UInt64($0)) }
      (tensors[2][17], tensors[2][18], tensors[3][9]) = (0, -0.0, 1e-30)
      try bench.set(tensors)
      try bench.measure(wantsHistogram: true)
      let arrays = [bench.reading.counts, bench.reading.histogram, bench.reading.faults]
      readings.append(
        try arrays.map { try (bench.backend.scalars($0) as [Int32]).map { UInt32(bitPattern: $0) } }
      )
      let first = try bench.norms() + bench.summary()
      try bench.measure()
      #expect(try bench.norms() + bench.summary() == first)
      norms.append(first)
    }
    for other in readings { #expect(other == readings[0]) }
    for other in norms {
      for (left, right) in zip(other, norms[0]) { #expect(isWithin(4, left, Double(right))) }
    }
  }

  /// Devices of this test's own: nobody else moves their counters.
  @Test func aStepReadsNothing() throws {
    var backends: [any Backend] = [try CPUBackend()]
    if let entry = OpenCLDiscovery.shared.devices.first {
      backends.append(try OpenCLBackend(entry))
    }
    for backend in backends {
      let bench = try GradientBench(Device(backend), [300, 20])
      try bench.set([wave(300, 1), wave(20, 2)])
      let state = try bench.state(.zClip(alpha: 0.97, threshold: 2.5, warmUp: 25))
      let before = backend.counters.blockingReads
      try bench.begin()
      try backend.repairGradients(bench.g, .zero, faults: bench.reading.faults)
      try backend.clipElements(bench.g, limit: 0.5, decision: bench.decision)
      try bench.clip(.perTensorNorm(0.1))
      try bench.clip(.zClip(alpha: 0.97, threshold: 2.5, warmUp: 25), state: state)
      #expect(backend.counters.blockingReads == before)
    }
  }

  @Test(arguments: TestDevices.all)
  func skipsInARowHaltAndAGoodStepEndsTheRow(_ device: Device) throws {
    let bench = try GradientBench(device, [5, 6])
    let good = [wave(5, 1), wave(6, 2)]
    var bad = good
    bad[1][3] = -.infinity
    var seen: [StepVerdict?] = []
    for gradients in [good, bad, bad, good, bad, bad, bad, good] {
      try bench.set(gradients)
      try bench.begin(FaultRule(.skip, maximumSkips: 2))
      seen.append(StepVerdict(rawValue: Int(try bench.field(.verdict))))
      #expect(try bench.field(.faultyTensor) == (gradients == bad ? 1 : -1))
    }
    #expect(
      seen == [.applied, .skipped, .skipped, .applied, .skipped, .skipped, .skipped, .halted])
    #expect(try bench.backend.scalars(bench.counters) == [2, 3, 1, 5] as [Int32])
  }

  @Test(arguments: TestDevices.all)
  func repairsLeaveFiniteGradients(_ device: Device) throws {
    for (repair, infinite) in [(FaultRepair.zero, Float(0)), (.clipFinite, 0x1.fffffep127)] {
      let bench = try GradientBench(device, [4, 300])
      try bench.set([[1, .nan, -.infinity, .infinity], wave(300, 1)])
      try bench.begin(FaultRule(.repair, maximumSkips: 0))
      #expect(try bench.field(.verdict) == Float(StepVerdict.repaired.rawValue))
      #expect(try bench.field(.applies) == 1)
      try bench.backend.repairGradients(bench.g, repair, faults: bench.reading.faults)
      #expect(try bench.tensors() == [[1, 0, -infinite, infinite], wave(300, 1)])
    }
  }
}
