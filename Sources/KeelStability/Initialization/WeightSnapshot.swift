import KeelAutograd
import KeelBackend
import KeelNN

/// A copy, on the device, of the parameters and states of a model: an initialisation that fails
/// leaves everything as it was.
struct WeightSnapshot {
  private let model: Model
  private let parameters: NDArray
  private let states: NDArray

  init(_ model: Model) throws(TensorError) {
    self.model = model
    let (backend, arena) = (model.device.backend, model.arena)
    (parameters, states) = try onDevice { () throws(DeviceError) in
      let parameters = try backend.allocate(arena.parameters.shape, .float32)
      try backend.pointwise(.x, [arena.parameters], into: parameters)
      let states = try backend.allocate(arena.states.shape, .float32)
      try backend.pointwise(.x, [arena.states], into: states)
      return (parameters, states)
    }
  }

  func restore() throws(TensorError) {
    try restoreStates()
    try onDevice { () throws(DeviceError) in
      try model.device.backend.pointwise(.x, [parameters], into: model.arena.parameters)
    }
  }

  func restoreStates() throws(TensorError) {
    try onDevice { () throws(DeviceError) in
      try model.device.backend.pointwise(.x, [states], into: model.arena.states)
    }
  }

  /// Runs a body; if it throws, the model is as before.
  static func protecting<Result>(
    _ model: Model, _ body: () throws(TensorError) -> Result
  ) throws(TensorError) -> Result {
    let snapshot = try WeightSnapshot(model)
    do {
      return try body()
    } catch {
      try snapshot.restore()
      throw error
    }
  }
}
