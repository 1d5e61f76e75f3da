import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

/// Numbers of a fixed pattern around `center`, none alike.
func pattern(_ count: Int, center: Double = 0, scale: Double = 1, phase: Int = 0) -> [Float] {
  (0..<count).map { i in
    let turn = Double((i * 7919 + phase * 104_729) % 1009) / 1009
    return Float(center + scale * (2 * turn - 1))
  }
}

/// Checks a layer with parameters against a formula in Double: its output, and the gradients of
/// sum(weights * output) by the input and each parameter against central differences of it.
///
/// - Parameter formula: from the input and the parameters, in the order of declaration.
func expectLayer(
  _ layer: any Layer, input: Shape, batch: Int, on device: Device, center: Double = 0,
  formula: ([[Double]]) -> [Double]
) throws {
  let model = try Model(layer, input: input, device: device, seed: 1)
  let x = pattern(batch * input.count, center: center)
  var values = [x]
  for (number, parameter) in model.parameters.enumerated() {
    let numbers = pattern(parameter.shape.count, center: 0.6, scale: 0.5, phase: number + 1)
    try model.setWeights(numbers, named: parameter.name)
    values.append(numbers)
  }
  let tensor = try Tensor(
    x, shape: Shape([batch] + input.extents), on: device, requiresGradient: true)
  let output = try model(tensor, Pass(isTraining: true, seed: 1, step: 0))
  let doubles = values.map { $0.map { Double($0) } }
  let expected = formula(doubles)
  let found = try output.scalars()
  #expect(found.count == expected.count)
  for i in found.indices { #expect(abs(Double(found[i]) - expected[i]) < 2e-5, "output \(i)") }

  let weights = pattern(found.count, phase: 9)
  let factors = try Tensor(weights, shape: output.shape, on: device)
  var gradients: [[Float]] = []
  let loss = try model.valueAndGradient { (pass) throws(TensorError) in
    try (model(tensor, pass) * factors).sum()
  }
  #expect(try loss.item().isFinite)
  let (_, ofInput) = try valueAndGradient(at: [tensor]) { () throws(TensorError) in
    try (model(tensor, Pass(isTraining: true, seed: 1, step: 0)) * factors).sum()
  }
  gradients.append(try ofInput[0].scalars())
  for parameter in model.parameters {
    gradients.append(try #require(parameter.gradient).scalars())
  }
  func total(_ inputs: [[Double]]) -> Double {
    zip(formula(inputs), weights).reduce(0) { $0 + $1.0 * Double($1.1) }
  }
  for (place, gradient) in gradients.enumerated() {
    for i in gradient.indices {
      let step = 1e-4
      var (above, below) = (doubles, doubles)
      above[place][i] += step
      below[place][i] -= step
      let slope = (total(above) - total(below)) / (2 * step)
      #expect(
        abs(Double(gradient[i]) - slope) < 2e-4 * max(1, abs(slope)), "tensor \(place), \(i)")
    }
  }
}
