import KeelAutograd
package import KeelBackend
package import KeelNN

/// The stages of a step on the device, in fixed order, each a launch or a few. Nothing is read.
package final class StepPipeline {
  package let model: Model
  let optimizer: Optimizer
  let stability: Stability
  /// The state of the optimizer's rule, each as large as the parameters.
  package let moments: [NDArray]
  /// What the gradients were like before anything but penalties touched them.
  package let reading: TelescopeReading
  package let decision: NDArray
  /// What a step leaves behind, in one piece so that one copy keeps it: the decision, and from
  /// ``normsOffset`` on norm and largest magnitude of each parameter's gradient.
  package let report: NDArray
  package static let normsOffset = NDArray.alignment / 4
  package let counters: NDArray
  /// The state of each clip stage, nil where it keeps none.
  package let clipStates: [NDArray?]

  private let backend: any Backend
  private let table: TelescopeTable
  /// What a stage left to the next one.
  private let remeasured: TelescopeReading
  private let coefficients: NDArray
  let spectra: [SpectralNorm]
  private let coordinates: CoordinateDescent?
  /// By their rows, for the orthogonal penalty.
  private var identities: [Int: Tensor] = [:]

  init(
    _ optimizer: Optimizer, _ stability: Stability, for model: Model
  ) throws(TensorError) {
    self.model = model
    self.optimizer = optimizer
    self.stability = stability
    let backend = model.device.backend
    self.backend = backend
    moments = try model.arena.makeMoments(optimizer.rule.momentCount)
    let places = model.parameters.map { (offset: $0.place?.offset ?? 0, count: $0.shape.count) }
    let reportCount = Self.normsOffset + 2 * places.count
    report = try onDevice { () throws(DeviceError) in
      let report = try backend.allocate([reportCount], .float32)
      try backend.fill(report, with: 0)
      return report
    }
    decision = report.view(offset: 0, shape: [DecisionField.count])
    let norms = report.view(offset: Self.normsOffset, shape: [places.count, 2])
    (table, reading, remeasured, coefficients) = try onDevice { () throws(DeviceError) in
      (
        try TelescopeTable(places, on: backend),
        try TelescopeReading(
          tensors: places.count, statistics: norms, on: backend),
        try TelescopeReading(tensors: places.count, on: backend),
        try backend.allocate([max(1, places.count)], .float32)
      )
    }
    counters = try onDevice { () throws(DeviceError) in
      try backend.array([0, 0, 0, 0] as [Int32], shape: [CounterField.count])
    }
    var states: [NDArray?] = []
    for stage in stability.clip.stages {
      let count = stage.rule?.stateCount(tensors: places.count) ?? 0
      states.append(
        try onDevice { () throws(DeviceError) in
          guard count > 0 else { return nil }
          let state = try backend.allocate([count], .float32)
          try backend.fill(state, with: 0)
          return state
        })
    }
    clipStates = states
    spectra = try SpectralNorm.all(of: stability, model)
    coordinates = try stability.coordinates.map { (order) throws(TensorError) in
      try CoordinateDescent(order, model)
    }
  }

  /// - Parameters:
  ///   - loss: the loss of the step, which must be finite too, or nil.
  ///   - right: how many answers were right, for the report, or nil.
  ///   - firstUpdate: how many updates there were before the schedule's first row.
  ///   - attempt: the number of the step, from 0, those that were left out included.
  func run(
    loss: Tensor?, right: Tensor?, schedule: ScheduleTable, firstUpdate: UInt64, attempt: UInt64,
    wantsHistogram: Bool
  ) throws(TensorError) {
    let gradients = model.arena.gradients
    try unscale(gradients)
    try addPenalties(to: gradients)
    try onDevice { () throws(DeviceError) in
      let start = StepStart(
        loss: loss?.value, right: right?.value, schedule: schedule.array,
        firstUpdate: firstUpdate, stability.faultRule, counters: counters)
      try backend.beginStep(
        scanning: gradients, table, wantsHistogram: wantsHistogram, start, limit: stability.limit,
        into: reading, decision: decision)
      if stability.limit == nil { try clip(gradients) }
      try addNoise(to: gradients, firstUpdate: firstUpdate, attempt: attempt)
      try descend(attempt)
    }
    try constrain()
    try keepStates()
  }

  /// Whether the host takes no part in a step: it draws neither coordinates nor noise.
  var repeatsItself: Bool {
    if case .ball? = stability.noise { return false }
    return coordinates == nil
  }

  /// Whether the last step changed the parameters. Waits for the device.
  func hasApplied() throws(TensorError) -> Bool {
    let values: [Float] = try onDevice { () throws(DeviceError) in
      try backend.scalars(decision)
    }
    return values[DecisionField.applies.rawValue] == 1
  }

  /// Running statistics of a step that was left out go back to what they were before its forward
  /// pass.
  private func keepStates() throws(TensorError) {
    guard let before = model.arena.statesBefore else { return }
    let states = model.arena.states
    try onDevice { () throws(DeviceError) in
      try backend.pointwise(
        .z.select(.x, .y), [states, before, try applies()], into: states)
    }
  }

  /// The decision's field alone, for formulas.
  func applies() throws(DeviceError) -> NDArray {
    let flag = try backend.allocate([1], .float32)
    try backend.stridedCopy(
      decision, StridedPattern(offset: DecisionField.applies.rawValue, strides: [1]), into: flag,
      StridedPattern(strides: [1]), extents: [1])
    return flag
  }

  private func unscale(_ gradients: NDArray) throws(TensorError) {
    guard stability.lossScale != 1 else { return }
    try onDevice { () throws(DeviceError) in
      try backend.pointwise(
        .x * .constant(1 / stability.lossScale), [gradients], into: gradients)
    }
  }

  private func addPenalties(to gradients: NDArray) throws(TensorError) {
    var (l1, l2): (Float, Float) = (0, 0)
    for penalty in stability.penalties {
      let coupled = penalty.coupled
      (l1, l2) = (l1 + coupled.l1, l2 + coupled.l2)
      guard case .orthogonal(let strength) = penalty else { continue }
      for parameter in model.parameters where parameter.isTrainable && parameter.decays {
        try addOrthogonalPenalty(strength, parameter)
      }
    }
    guard l1 > 0 || l2 > 0 else { return }
    try onDevice { () throws(DeviceError) in
      try backend.addPenaltyGradient(
        to: gradients, parameters: model.arena.parameters, scales: model.arena.scales, l1: l1,
        l2: l2)
    }
  }

  /// The identity matrix of so many rows, made once.
  func identity(_ count: Int) throws(TensorError) -> Tensor {
    if let known = identities[count] { return known }
    let rows = try Tensor((0..<Int32(count)).map { $0 }, shape: [count], on: model.device)
    let made = try rows.oneHot(classes: count)
    identities[count] = made
    return made
  }

  private func clip(_ gradients: NDArray) throws(DeviceError) {
    var current = reading
    // Whether the gradients are no longer what `current` says.
    var isStale = false
    func measure() throws(DeviceError) {
      try backend.gradientTelescope(
        gradients, table, wantsHistogram: false, into: remeasured)
      (current, isStale) = (remeasured, false)
    }
    if let repair = stability.onFault.repair {
      try backend.repairGradients(gradients, repair, faults: reading.faults)
      isStale = true
    }
    let stages = stability.clip.stages
    for (place, stage) in stages.enumerated() {
      if let rule = stage.rule {
        if isStale { try measure() }
        let isLast = place + 1 == stages.count && rule.isGlobal
        try backend.clipCoefficients(
          rule, current, isLast: isLast, state: clipStates[place], decision: decision,
          into: coefficients)
        if !isLast {
          try backend.scaleGradients(
            gradients, table, coefficients: coefficients, decision: decision)
          isStale = place + 1 < stages.count
        }
      } else if case .elementwise(let limit) = stage {
        try backend.clipElements(gradients, limit: limit, decision: decision)
        isStale = true
      } else if case .unitwise(let ratio, let floor) = stage {
        try clipUnits(ratio, floor)
        isStale = true
      }
    }
    guard isStale else { return }
    // For the record: the norm that the optimizer will see. This limit clips nothing.
    try measure()
    try backend.clipCoefficients(
      .globalNorm(.greatestFiniteMagnitude), current, isLast: false, state: nil,
      decision: decision, into: coefficients)
  }

  /// The parameters of the last layer are not clipped by unit.
  private func clipUnits(_ ratio: Float, _ floor: Float) throws(DeviceError) {
    let last = model.parameters.last?.layerPath
    for parameter in model.parameters where parameter.isTrainable && parameter.layerPath != last {
      guard let place = parameter.place else { continue }
      let shape = parameter.unitShape
      try backend.clipUnits(
        place.gradient.reshaped(shape), weights: place.detached.value.reshaped(shape),
        ratio: ratio, floor: floor, decision: decision)
    }
  }

  private func addNoise(
    to gradients: NDArray, firstUpdate: UInt64, attempt: UInt64
  ) throws(DeviceError) {
    switch stability.noise {
    case .uniform?:
      try backend.addUniformNoise(
        to: gradients, seed: model.seed, firstUpdate: firstUpdate, counters: counters,
        scales: model.arena.scales, decision: decision)
    case .ball(let radius, let threshold)?:
      let places = model.parameters.filter(\.isTrainable).compactMap { parameter in
        parameter.place.map { $0.offset..<($0.offset + parameter.shape.count) }
      }
      let values = BallNoise(radius: radius, seed: model.seed).values(
        at: places, of: gradients.count, update: attempt)
      let noise = try backend.array(values, shape: gradients.shape)
      try backend.addNoise(noise, to: gradients, whereNormBelow: threshold, decision: decision)
    case nil: break
    }
  }

  private func descend(_ attempt: UInt64) throws(DeviceError) {
    let arena = model.arena
    let update = OptimizerUpdate(
      rule: optimizer.rule, weightDecay: optimizer.weightDecay,
      decouplesDecay: optimizer.decouplesDecay)
    if let coordinates {
      try coordinates.step(update, moments: moments, decision: decision, attempt: attempt)
    } else {
      try backend.optimizerStep(
        update, parameters: arena.parameters, gradients: arena.gradients, moments: moments,
        scales: arena.scales, decision: decision)
    }
    for case .l1Proximal(let strength) in stability.penalties {
      try backend.shrinkParameters(
        arena.parameters, scales: arena.scales, l1: strength, decision: decision)
    }
  }

  private func constrain() throws(TensorError) {
    if !spectra.isEmpty {
      let applies: NDArray = try onDevice { () throws(DeviceError) in try self.applies() }
      for spectrum in spectra { try spectrum.constrain(where: applies) }
    }
    for constraint in stability.constraints {
      guard let units = constraint.units else { continue }
      for parameter in model.parameters where parameter.isTrainable && parameter.shape.rank >= 2 {
        guard let place = parameter.place else { continue }
        try onDevice { () throws(DeviceError) in
          try backend.constrainUnits(
            place.detached.value.reshaped(parameter.unitShape), units, decision: decision)
        }
      }
    }
  }
}

extension Stability {
  fileprivate var faultRule: FaultRule {
    switch onFault {
    case .skipStep: FaultRule(.skip, maximumSkips: maximumSkips)
    case .raise, .rewind: FaultRule(.halt, maximumSkips: maximumSkips)
    case .zero, .clipFinite: FaultRule(.repair, maximumSkips: maximumSkips)
    }
  }
}

extension Stability {
  /// The clip chain where it is one limit for all gradients together, which the decision takes in.
  fileprivate var limit: ClipRule? {
    guard clip.stages.count == 1, onFault.repair == nil else { return nil }
    switch clip.stages[0] {
    case .globalNorm(let limit): return .globalNorm(limit)
    case .globalMaxAbs(let limit): return .globalMaxAbs(limit)
    default: return nil
    }
  }
}

extension FaultPolicy {
  fileprivate var repair: FaultRepair? {
    switch self {
    case .zero: .zero
    case .clipFinite: .clipFinite
    case .skipStep, .raise, .rewind: nil
    }
  }
}

extension Constraint {
  fileprivate var units: UnitConstraint? {
    switch self {
    case .maximumNorm(let limit): .maximumNorm(limit)
    case .unitNorm: .unitNorm
    case .simplex: .unitSum
    case .spectralNorm: nil
    }
  }
}

extension Parameter {
  /// Rows x columns, the columns being the units; a vector is one unit.
  var unitShape: Shape {
    guard shape.rank >= 2, let columns = shape.extents.last else { return [shape.count, 1] }
    return [shape.count / max(1, columns), columns]
  }

  /// The path of the layer that it belongs to.
  package var layerPath: String {
    name.lastIndex(of: ".").map { String(name[..<$0]) } ?? ""
  }
}
