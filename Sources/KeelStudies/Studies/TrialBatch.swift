import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelTraining

/// Some examples on a device, for measurements outside a training.
struct TrialBatch {
  let inputs: Tensor
  let labels: Tensor

  /// The examples at places of a data set.
  init(_ data: Dataset, _ places: Range<Int>, on device: Device) throws {
    let (features, labels) = data.gather(places.map { Int32($0) })
    let shape = Shape([places.count] + data.exampleShape.extents)
    let numbers: [Float] =
      switch features {
      case .floats(let values): values
      case .bytes(let values): values.map { Float($0) / 255 }
      }
    inputs = try Tensor(numbers, shape: shape, on: device)
    self.labels = try Tensor(labels, shape: [places.count], on: device)
  }

  /// The loss of a model in training, with its gradient left in the model.
  func backward(_ model: Model, _ loss: Loss = .softmaxCrossEntropy()) throws -> Double {
    let value = try model.valueAndGradient(pass: 0) { (pass) throws(TensorError) in
      try loss(model(inputs, pass), labels)
    }
    return Double(try value.item())
  }
}

extension Model {
  /// The norm of all gradients of the last backward pass, added in Double.
  func gradientNorm() throws -> Double {
    var sum = 0.0
    for parameter in parameters where parameter.isTrainable {
      for value in try parameter.gradient?.scalars() ?? [] { sum += Double(value) * Double(value) }
    }
    return sum.squareRoot()
  }

  /// All gradients of the last backward pass, one parameter after the other.
  func flatGradient() throws -> [Double] {
    var all: [Double] = []
    for parameter in parameters where parameter.isTrainable {
      all += (try parameter.gradient?.scalars() ?? []).map { Double($0) }
    }
    return all
  }

  /// All weights and biases, one parameter after the other.
  fileprivate func flatWeights() throws -> [Float] {
    var all: [Float] = []
    for parameter in parameters { all += try weights(named: parameter.name) }
    return all
  }
}

extension Trial {
  /// How many weights and biases differ from those of another one, by any bit.
  func differingWeights(from other: Trial) throws -> Int {
    let (own, its) = (try trainer.model.flatWeights(), try other.trainer.model.flatWeights())
    guard own.count == its.count else { return max(own.count, its.count) }
    return zip(own, its).count { $0.bitPattern != $1.bitPattern }
  }
}
