import KeelAutograd
package import KeelBackend
import KeelNN

extension StepPipeline {
  /// Runs a change of the model's scales, after which gradients have other norms, and lets what
  /// adaptive clip stages have learned of norms go along: they would clip by the old measure for
  /// thousands of steps. Waits for the device where there is such a stage.
  package func keepingClipMeasure(
    _ change: () throws(TensorError) -> Void
  ) throws(TensorError) {
    let adaptive = stability.clip.stages.indices.filter {
      stability.clip.stages[$0].isAdaptive && clipStates[$0] != nil
    }
    guard !adaptive.isEmpty else { return try change() }
    let before = try squaresOfGradients()
    try change()
    let after = try squaresOfGradients()
    let factors = zip(before, after).map(Self.factor)
    let all = Self.factor(before.reduce(0, +), after.reduce(0, +))
    guard all != 1 || factors.contains(where: { $0 != 1 }) else { return }
    for place in adaptive {
      guard let state = clipStates[place] else { continue }
      let backend = model.device.backend
      try onDevice { () throws(DeviceError) in
        let learned: [Float] = try backend.scalars(state)
        try backend.upload(
          stability.clip.stages[place].rescaled(learned, by: all, tensors: factors), to: state)
      }
    }
  }

  /// What a norm is multiplied by; 1 where one of them says nothing.
  private static func factor(_ before: Double, _ after: Double) -> Float {
    before > 0 && after > 0 && before.isFinite && after.isFinite
      ? Float((after / before).squareRoot()) : 1
  }

  /// The sum of the squared gradients of each parameter.
  private func squaresOfGradients() throws(TensorError) -> [Double] {
    let values: [Float] = try onDevice { () throws(DeviceError) in
      try model.device.backend.scalars(model.arena.gradients)
    }
    return model.parameters.map { parameter in
      let first = parameter.place?.offset ?? 0
      return values[first..<(first + parameter.shape.count)].reduce(0.0) {
        $0 + Double($1) * Double($1)
      }
    }
  }
}

extension ClipStage {
  /// The state of the rule (see `ClipRule.stateCount`) when norms have been multiplied.
  fileprivate func rescaled(
    _ state: [Float], by factor: Float, tensors factors: [Float]
  ) -> [Float] {
    var state = state
    switch self {
    case .autoClip:
      for i in state.indices.dropFirst() { state[i] *= factor }
    case .zClip:
      state[1] *= factor
      for i in 2..<4 { state[i] *= factor * factor }
    case .adaGC:
      for (tensor, factor) in factors.enumerated() { state[1 + tensor] *= factor }
    default: break
    }
    return state
  }
}
