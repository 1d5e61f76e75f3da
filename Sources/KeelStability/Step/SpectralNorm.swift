import KeelAutograd
import KeelBackend
import KeelNN

extension StepPipeline {
  /// Adds the gradient of strength * ‖W'W - 1‖^2, which is 4 * strength * W (W'W - 1); where there
  /// are more columns than rows, that of ‖WW' - 1‖^2.
  func addOrthogonalPenalty(_ strength: Float, _ parameter: Parameter) throws(TensorError) {
    guard let place = parameter.place else { return }
    let shape = parameter.unitShape
    let weight = try place.detached.reshaped(shape)
    let backend = model.device.backend
    let (isTall, narrow) = (shape[0] >= shape[1], min(shape[0], shape[1]))
    let gram =
      isTall
      ? try weight.transposed().matmul(weight) : try weight.matmul(weight.transposed())
    let excess = try gram - identity(narrow)
    let slope = isTall ? try weight.matmul(excess) : try excess.matmul(weight)
    let gradient = place.gradient.reshaped(shape)
    try onDevice { () throws(DeviceError) in
      try backend.pointwise(
        .x + .constant(4 * strength) * .y, [gradient, slope.value], into: gradient)
    }
  }
}

/// Holds the largest singular value of a weight to a limit by one power iteration per step, which
/// starts where the last one ended.
final class SpectralNorm {
  /// The parameter.
  let name: String
  private let weight: Tensor
  private let limit: Float
  /// The left singular vector, as far as it is known: 1 x rows. It stays in its place.
  let left: Tensor
  private let isTrainable: () -> Bool

  /// One for each weight of two axes or more, if the options ask for it.
  static func all(of stability: Stability, _ model: Model) throws(TensorError) -> [SpectralNorm] {
    for case .spectralNorm(let limit) in stability.constraints {
      var all: [SpectralNorm] = []
      for parameter in model.parameters where parameter.shape.rank >= 2 {
        guard let tensor = parameter.tensor else { continue }
        all.append(try SpectralNorm(parameter, tensor, limit, seed: model.seed))
      }
      return all
    }
    return []
  }

  private init(
    _ parameter: Parameter, _ tensor: Tensor, _ limit: Float, seed: UInt64
  ) throws(TensorError) {
    name = parameter.name
    weight = try tensor.reshaped(parameter.unitShape)
    self.limit = limit
    isTrainable = { parameter.isTrainable }
    var random = RandomSequence(RandomKey(seed: seed, .noise, index: 3 + parameter.index))
    let start = (0..<weight.shape[0]).map { _ in random.nextUniform() + 0.5 }
    left = try Tensor(start, shape: [1, weight.shape[0]], on: tensor.device)
    for _ in 0..<10 {
      let next = try iterate().left
      try onDevice { () throws(DeviceError) in
        try tensor.device.backend.pointwise(.x, [next.value], into: left.value)
      }
    }
  }

  /// u' = W v / |W v| with v = W'u / |W'u|, and the singular value |W v|.
  private func iterate() throws(TensorError) -> (left: Tensor, value: Tensor) {
    let right = try left.matmul(weight)
    let unit = try right / (right * right).sum().sqrt()
    let image = try unit.matmul(weight.transposed())
    let value = try (image * image).sum().sqrt()
    return (try image / value, value)
  }

  /// W *= value > limit ? limit / value : 1 where the step applies; else nothing changes.
  func constrain(where applies: NDArray) throws(TensorError) {
    guard isTrainable() else { return }
    let backend = weight.device.backend
    let (next, value) = try iterate()
    let limit = Expression.constant(limit)
    try onDevice { () throws(DeviceError) in
      try backend.pointwise(
        .z.select(.x, .y), [next.value, left.value, applies], into: left.value)
      try backend.pointwise(
        .z.select((.y > limit).select(.x * (limit / .y), .x), .x),
        [weight.value, value.value.reshaped([1]), applies], into: weight.value)
    }
  }
}
