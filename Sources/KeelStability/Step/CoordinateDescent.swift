import KeelAutograd
import KeelBackend
import KeelNN

/// Updates one parameter tensor per step; the others keep every bit, their moments too.
final class CoordinateDescent {
  private let order: CoordinateOrder
  private let model: Model
  private let backend: any Backend

  init(_ order: CoordinateOrder, _ model: Model) throws(TensorError) {
    self.order = order
    self.model = model
    backend = model.device.backend
    guard !model.parameters.isEmpty else {
      throw Stability.refusal("coordinates", "a model with parameters", "none")
    }
  }

  func step(
    _ update: OptimizerUpdate, moments: [NDArray], decision: NDArray, attempt: UInt64
  ) throws(DeviceError) {
    let trainable = model.parameters.filter(\.isTrainable)
    guard !trainable.isEmpty, let place = trainable[choice(of: trainable.count, attempt)].place
    else { return }
    let blocks = (place.detached.shape.count + ArenaBlock.count - 1) / ArenaBlock.count
    func part(_ array: NDArray) -> NDArray {
      array.view(offset: place.offset, shape: [blocks * ArenaBlock.count])
    }
    // A part of the scales does not start aligned: it is copied.
    let scales = try backend.allocate([blocks, 2], .float32)
    try backend.stridedCopy(
      model.arena.scales,
      StridedPattern(offset: 2 * place.offset / ArenaBlock.count, strides: [1]), into: scales,
      StridedPattern(strides: [1]), extents: [2 * blocks])
    let arena = model.arena
    try backend.optimizerStep(
      update, parameters: part(arena.parameters), gradients: part(arena.gradients),
      moments: moments.map(part), scales: scales, decision: decision)
  }

  private func choice(of count: Int, _ attempt: UInt64) -> Int {
    switch order {
    case .cyclic: return Int(attempt % UInt64(count))
    case .random:
      var random = RandomSequence(RandomKey(seed: model.seed, .noise, index: 2, step: attempt))
      return Int(random.next(below: UInt32(count)))
    }
  }
}
