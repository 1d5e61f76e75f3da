import Keel
import KeelAutograd
import KeelBackend
import Testing

/// The properties of every way to limit gradients, on gradients.
@Suite struct ClipRuleTests {
  private let counts = [1000, 70, 9000, 3]

  /// A bench with gradients of very different tensors, measured and decided upon.
  private func bench(_ device: Device, scale: Float = 1) throws -> GradientBench {
    let bench = try GradientBench(device, counts)
    try bench.set(
      bench.places.enumerated().map { number, place in
        wave(place.count, UInt64(number)).map { $0 * scale * Float(number * number + 1) }
      })
    try bench.begin()
    return bench
  }

  @Test(arguments: TestDevices.all)
  func elementsStayWithinTheLimitAndNaNStays(_ device: Device) throws {
    let bench = try bench(device)
    var tensors = try bench.tensors()
    (tensors[0][3], tensors[2][8000], tensors[2][17]) = (.nan, .infinity, -.infinity)
    try bench.set(tensors)
    try bench.backend.clipElements(bench.g, limit: 0.25, decision: bench.decision)
    let (once, bits) = (try bench.tensors(), try bench.bits())
    for (before, after) in zip(tensors.joined(), once.joined()) {
      #expect(before.isNaN ? after.isNaN : after == max(-0.25, min(0.25, before)))
    }
    try bench.measure()
    #expect(try bench.faults() == [1, 0])
    try bench.backend.clipElements(bench.g, limit: 0.25, decision: bench.decision)
    #expect(try bench.bits() == bits)
  }

  @Test(arguments: TestDevices.all, [Float(1), 1e20, 1e-24])
  func tensorsAreLimitedOneByOne(_ device: Device, _ scale: Float) throws {
    let bench = try bench(device, scale: scale)
    let limit = 10 * scale
    let (before, norms) = (try bench.tensors(), try bench.norms())
    #expect(norms.contains { $0 > limit } && norms.contains { $0 < limit })
    try bench.clip(.perTensorNorm(limit))
    for (number, after) in try bench.tensors().enumerated() {
      if norms[number] <= limit {
        #expect(after.map(\.bitPattern) == before[number].map(\.bitPattern))
      } else {
        #expect(after != before[number])
        #expect(isWithin(4, Float(plainNorm(after)), Double(limit)))
      }
    }
    #expect(try bench.field(.verdict) == Float(StepVerdict.clipped.rawValue))
    let left = plainNorm(try bench.tensors().flatMap { $0 })
    #expect(isWithin(4, try bench.field(.clippedNorm), left))
  }

  @Test(arguments: TestDevices.all, [Float(1), 1e20, 1e-24])
  func theGlobalNormLandsOnTheLimit(_ device: Device, _ scale: Float) throws {
    let bench = try bench(device, scale: scale)
    let (before, bits, norm) = (try bench.tensors(), try bench.bits(), try bench.summary()[0])
    // Not above the limit: not a bit changes.
    for limit in [norm, 2 * norm] {
      try bench.clip(.globalNorm(limit))
      #expect(try bench.bits() == bits)
      #expect(try bench.field(.factor) == 1 && bench.field(.clippedNorm) == norm)
      #expect(try bench.field(.verdict) == Float(StepVerdict.applied.rawValue))
    }
    let limit = norm / 3
    try bench.clip(.globalNorm(limit))
    let after = try bench.tensors()
    #expect(isWithin(4, Float(plainNorm(after.flatMap { $0 })), Double(limit)))
    #expect(isWithin(1, try bench.field(.clippedNorm), Double(limit)))
    // The direction is the same.
    var product = 0.0
    for (left, right) in zip(before.joined(), after.joined()) {
      product += Double(left) * Double(right)
    }
    let cosine =
      product / plainNorm(before.flatMap { $0 }) / plainNorm(after.flatMap { $0 })
    #expect(abs(cosine - 1) < 1e-12)
    // As the last rule of a chain it leaves the gradients alone and gives the coefficient.
    let rest = try bench.bits()
    try bench.begin()
    try bench.backend.clipCoefficients(
      .globalNorm(limit / 2), bench.reading, isLast: true, state: nil, decision: bench.decision,
      into: bench.coefficients)
    #expect(try bench.bits() == rest)
    #expect(try bench.backend.scalars(bench.coefficients) == [1, 1, 1, 1] as [Float])
    #expect(isWithin(8, try bench.field(.coefficient), 0.5))
  }

  @Test(arguments: TestDevices.all)
  func theLargestMagnitudeLandsOnTheLimit(_ device: Device) throws {
    let bench = try bench(device)
    let before = try bench.tensors()
    let largest = try bench.summary()[1]
    try bench.clip(.globalMaxAbs(largest))
    #expect(try bench.tensors() == before)
    try bench.clip(.globalMaxAbs(0.5))
    let after = try bench.tensors()
    #expect(isWithin(1, after.joined().map(abs).max() ?? 0, 0.5))
    #expect(isWithin(4, after[1][7], Double(before[1][7]) * 0.5 / Double(largest)))
  }

  @Test(arguments: TestDevices.all)
  func zClipHoldsASpikeAndHardlyMovesItsMean(_ device: Device) throws {
    let rule = ClipRule.zClip(alpha: 0.97, threshold: 2.5, warmUp: 25)
    let bench = try GradientBench(device, [16])
    let state = try bench.state(rule)
    let stream = wave(60, 9).map { 2 + 0.2 * $0 }
    for norm in stream { try bench.update([norm], rule, state) }
    let before: [Float] = try bench.backend.scalars(state)
    try bench.update([100], rule, state)
    let after: [Float] = try bench.backend.scalars(state)
    #expect(try bench.field(.clippedNorm) < 3 && bench.field(.factor) < 0.03)
    #expect(plainNorm(try bench.tensors()[0]) < 3)
    #expect(abs(after[1] / before[1] - 1) < 0.05)
    // The next ordinary norm passes.
    try bench.update([2], rule, state)
    #expect(try bench.field(.factor) == 1)
  }

  @Test(arguments: TestDevices.all, [(Float(10), 7), (50, 16), (90, 100), (100, 3)])
  func autoClipTakesThePercentileOfItsWindow(
    _ device: Device, _ setting: (percentile: Float, window: Int)
  ) throws {
    let rule = ClipRule.autoClip(percentile: setting.percentile, window: setting.window)
    let bench = try GradientBench(device, [4])
    let state = try bench.state(rule)
    let norms = wave(40, 5).map { abs($0) * 100 + 1 } + [7, 7, 7, 500, 7]
    for (number, norm) in norms.enumerated() {
      try bench.update([norm], rule, state)
      let recent = norms[...number].suffix(setting.window).sorted()
      let rank = max(1, Int((setting.percentile * Float(recent.count) / 100).rounded(.up)))
      let limit = recent[rank - 1]
      #expect(isWithin(1, try bench.field(.clippedNorm), Double(min(norm, limit))))
      #expect(isWithin(2, try bench.tensors()[0][0], Double(min(norm, limit))))
    }
  }

  @Test(arguments: TestDevices.all)
  func adaGCFollowsItsDefinition(_ device: Device) throws {
    let (relative, beta, warmUp, limit) = (1.05, 0.98, 5, 3.0)
    let rule = ClipRule.adaGC(
      relative: Float(relative), beta: Float(beta), warmUp: warmUp, limit: Float(limit))
    let bench = try GradientBench(device, [3, 200])
    let state = try bench.state(rule)
    var y: [Double] = [.infinity, .infinity]
    for step in 0..<30 {
      let noise = wave(2, UInt64(step))
      let spike: Float = step == 20 ? 80 : 1
      let norms = [1 + 0.3 * noise[0], (3 + noise[1]) * spike]
      try bench.update(norms, rule, state)
      let global = plainNorm(norms)
      for t in 0..<2 {
        let n = Double(norms[t])
        let h: Double
        if step < warmUp {
          h = global > limit ? limit / global : 1
          y[t] = min(y[t], h * n)
        } else {
          h = min(1, relative * y[t] / n)
          y[t] = beta * y[t] + (1 - beta) * h * n
        }
        #expect(isWithin(64, try bench.tensors()[t][0], h * n))
      }
    }
    let kept: [Float] = try bench.backend.scalars(state)
    #expect(kept[0] == 30 && isWithin(64, kept[1], y[0]) && isWithin(64, kept[2], y[1]))
  }

  /// A tensor whose gradient is 0 at first must not be held at 0 for ever.
  @Test(arguments: TestDevices.all)
  func adaGCStartsWithTheFirstGradientThereIs(_ device: Device) throws {
    let rule = ClipRule.adaGC(relative: 1.05, beta: 0.98, warmUp: 2, limit: 10)
    let bench = try GradientBench(device, [3, 3])
    let state = try bench.state(rule)
    for norms in [[1, 0], [1, 0], [1, 0], [1, 2]] as [[Float]] {
      try bench.update(norms, rule, state)
    }
    #expect(try bench.tensors()[1] == [2, 0, 0])
    try bench.update([1, 200], rule, state)
    #expect(isWithin(4, try bench.tensors()[1][0], 2.1))
  }

  private static let adaptive: [ClipRule] = [
    .autoClip(percentile: 50, window: 4), .zClip(alpha: 0.9, threshold: 1, warmUp: 2),
    .adaGC(relative: 1.05, beta: 0.9, warmUp: 1, limit: 2),
  ]

  @Test(arguments: TestDevices.all, adaptive)
  func nothingMovesWhereTheStepIsNotTaken(_ device: Device, _ rule: ClipRule) throws {
    let bench = try GradientBench(device, [3, 5])
    let state = try bench.state(rule)
    for norms in [[1, 2], [2, 1], [3, 9]] as [[Float]] { try bench.update(norms, rule, state) }
    let before: [Float] = try bench.backend.scalars(state)
    try bench.set([[1, .nan, 3], wave(5, 1).map { $0 * 100 }])
    let bits = try bench.bits()
    try bench.begin()
    try bench.backend.clipElements(bench.g, limit: 0.1, decision: bench.decision)
    try bench.clip(rule, state: state)
    try bench.clip(.perTensorNorm(0.1))
    #expect(try bench.bits() == bits)
    #expect(try bench.field(.factor) == 1 && bench.field(.applies) == 0)
    #expect(
      try (bench.backend.scalars(state) as [Float]).map(\.bitPattern) == before.map(\.bitPattern))
  }

  @Test(arguments: TestDevices.all, adaptive)
  func theStateIsAllThatARuleRemembers(_ device: Device, _ rule: ClipRule) throws {
    let stream = (0..<12).map { [wave(12, 1)[$0] + 2, wave(12, 2)[$0] * 3 + 4] }
    let whole = try GradientBench(device, [3, 5])
    let state = try whole.state(rule)
    for norms in stream { try whole.update(norms, rule, state) }
    // The same with a pause, through the host's memory.
    var saved: [Float] = []
    for half in [stream.prefix(7), stream.suffix(5)] {
      let part = try GradientBench(device, [3, 5])
      let own = try part.state(rule)
      if !saved.isEmpty { try part.backend.upload(saved, to: own) }
      for norms in half { try part.update(norms, rule, own) }
      saved = try part.backend.scalars(own)
      if half.count == 5 { #expect(try part.bits() == whole.bits()) }
    }
    #expect(saved == (try whole.backend.scalars(state)))
  }
}
