/// The fields of a step's decision: 16 float32 on the device, written by ``StepControlBackend`` and
/// ``GradientClipBackend``, read by the optimizer's launch and, in batches, by the host.
package enum DecisionField: Int, CaseIterable, Sendable {
  /// The norm of all gradients, before clipping.
  case norm
  /// What the optimizer multiplies every gradient by.
  case coefficient
  /// 1 where the step changes parameters, 0 where it does not.
  case applies
  /// The learning rate of the step.
  case learningRate
  /// Adam's bias corrections of the step, 1 / (1 - beta^t).
  case correction1, correction2
  /// The amplitude of the step's gradient noise.
  case noise
  /// The largest magnitude of all gradients, before clipping.
  case largest
  /// The norm of all gradients after the clip chain.
  case clippedNorm
  /// The first tensor with an element that is not finite; -1 if there is none, -2 if only the loss
  /// is not finite.
  case faultyTensor
  /// How many elements are not finite.
  case faults
  /// A ``StepVerdict``.
  case verdict
  /// The smallest factor that the clip chain multiplied a gradient by; 1 where it did nothing.
  case factor
  /// How many updates there were before this step; only whether it is 0 is exact for ever.
  case updates
  /// The loss and the count of right answers that the step was told, for the record; 0 without.
  case loss, right

  /// Fields of a decision.
  package static let count = 16
}

/// What became of a step.
package enum StepVerdict: Int, Sendable {
  /// Parameters changed as the optimizer said.
  case applied
  /// The same, with gradients that clipping changed.
  case clipped
  /// Nothing changed: a gradient or the loss was not finite.
  case skipped
  /// Nothing changed: an earlier step had halted the training, which the host has yet to see.
  case halted
  /// Elements that were not finite were replaced, and the step taken.
  case repaired
}

/// What a step does about gradients that are not finite.
package struct FaultRule: Hashable, Sendable {
  package enum Action: Int, Sendable {
    /// Leave everything as it is and go on with the next step.
    case skip
    /// Leave everything as it is until the host has seen it.
    case halt
    /// Take the step: the gradients are repaired, see ``GradientClipBackend``.
    case repair
  }
  package var action: Action
  /// Skips in a row after which the training halts.
  package var maximumSkips: Int

  package init(_ action: Action, maximumSkips: Int) {
    self.action = action
    self.maximumSkips = maximumSkips
  }
}

/// The numbers that steps count on the device: 4 int32.
package enum CounterField: Int, Sendable {
  /// Updates since the schedule's first row.
  case row
  /// Skips in a row.
  case skipsInARow
  /// 1 once halted.
  case halted
  /// Skips in all.
  case skips

  package static let count = 4
}

/// Decides on the device whether and how a step is taken, so that no step waits for the host.
package protocol StepControlBackend {
  /// Writes a decision from what the telescope saw.
  ///
  /// With h = counters.halted, bad = faults[0] > 0 or the loss is not finite, r = counters.row:
  /// - norm, largest, faults, faultyTensor from the reading (-2 if only the loss is bad);
  ///   clippedNorm = norm; coefficient = factor = 1; updates = firstUpdate + r;
  ///   learningRate, correction1, correction2, noise = schedule row r; loss and right as given.
  /// - h: applies = 0, verdict halted; counters stay.
  /// - bad and the rule does not repair (or the loss is bad): applies = 0, verdict skipped,
  ///   skipsInARow += 1, skips += 1; halted = 1 if the rule halts or skipsInARow > maximumSkips.
  /// - else: applies = 1, verdict applied (repaired if bad), skipsInARow = 0, row = r + 1.
  ///
  /// - Parameters:
  ///   - loss: one float32, or nil.
  ///   - right: one float32, or nil.
  ///   - schedule: rows x 4, float32: learning rate, both corrections, noise amplitude. The caller
  ///     sees to it that r stays below the rows; a larger r takes the last row.
  ///   - firstUpdate: how many updates there were before the first row.
  func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, right: NDArray?, schedule: NDArray,
    firstUpdate: UInt64, _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError)

  /// Measures the gradients and decides on the step, as ``GradientTelescopeBackend`` and the method
  /// above; then limits all gradients together, as the last rule of ``GradientClipBackend`` does.
  ///
  /// - Parameter limit: a global norm or a global largest magnitude, or nil.
  func beginStep(
    scanning g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, _ start: StepStart,
    limit: ClipRule?, into reading: TelescopeReading, decision: NDArray
  ) throws(DeviceError)
}

/// What a decision is made of besides the gradients; see ``StepControlBackend``.
package struct StepStart {
  package let loss: NDArray?
  package let right: NDArray?
  package let schedule: NDArray
  package let firstUpdate: UInt64
  package let rule: FaultRule
  package let counters: NDArray

  package init(
    loss: NDArray?, right: NDArray? = nil, schedule: NDArray, firstUpdate: UInt64,
    _ rule: FaultRule, counters: NDArray
  ) {
    (self.loss, self.right, self.schedule) = (loss, right, schedule)
    (self.firstUpdate, self.rule, self.counters) = (firstUpdate, rule, counters)
  }
}

extension Backend {
  /// One after the other, so that wrappers see each.
  package func beginStep(
    scanning g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, _ start: StepStart,
    limit: ClipRule?, into reading: TelescopeReading, decision: NDArray
  ) throws(DeviceError) {
    try gradientTelescope(g, table, wantsHistogram: wantsHistogram, into: reading)
    try beginStep(
      reading, loss: start.loss, right: start.right, schedule: start.schedule,
      firstUpdate: start.firstUpdate, start.rule, counters: start.counters, into: decision)
    guard let limit else { return }
    let unused = try allocate([max(1, reading.tensorCount)], .float32)
    try clipCoefficients(
      limit, reading, isLast: true, state: nil, decision: decision, into: unused)
  }
}
