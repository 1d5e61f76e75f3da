import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct ReZeroTests {
  private func network(depth: Int, scale: Float = 0) -> Sequential {
    Sequential {
      for _ in 0..<depth {
        ReZero(initialScale: scale) {
          Dense(12, activation: .relu, initializer: .normal(mean: 0, deviation: 3))
          Dense(6, initializer: .normal(mean: 0, deviation: 3))
        }
      }
    }
  }

  private func input(_ device: Device) throws -> Tensor {
    try Tensor((0..<24).map { Float($0 * 37 % 11) - 5.25 }, shape: [4, 6], on: device)
  }

  @Test(arguments: TestDevices.all) func startsAsTheIdentityExactly(_ device: Device) throws {
    let model = try Model(network(depth: 30), input: [6], device: device, seed: 4)
    let x = try input(device)
    #expect(try model(x).scalars() == x.scalars())
    #expect(model.parameters[0].name == "rezero1.alpha")
    #expect(model.parameters[1].name == "rezero1.branch.dense1.weight")
    #expect(model.parameters[0].decays == false)
    let moved = try Model(network(depth: 1, scale: 0.5), input: [6], device: device, seed: 4)
    #expect(try moved(x).scalars() != x.scalars())
  }

  /// d loss / d alpha = the branch's sum; nothing else learns while alpha is 0.
  @Test(arguments: TestDevices.all) func alphaLearnsFirst(_ device: Device) throws {
    let model = try Model(network(depth: 2), input: [6], device: device, seed: 4)
    let x = try input(device)
    _ = try model.valueAndGradient { (pass) throws(TensorError) in try model(x, pass).sum() }
    let weights = try model.parameters[1...4].map { try #require($0.tensor) }
    let branch = try x.dense(weights[0], bias: weights[1], activation: .relu)
      .dense(weights[2], bias: weights[3]).sum().item()
    let slope = try #require(try model.parameters[0].gradient?.item())
    #expect(slope != 0 && abs(slope - branch) < abs(branch) * 1e-4)
    #expect(try model.parameters[1].gradient?.scalars().allSatisfy { $0 == 0 } == true)
    try model.setWeights([0.01], named: "rezero1.alpha")
    #expect(try model(x).scalars() != x.scalars())
  }

  @Test func branchesThatChangeTheShapeAreRefused() {
    let error = sentence {
      _ = try Model(Sequential { ReZero(Dense(5)) }, input: [6], device: .cpu)
    }
    #expect(
      error == "rezero1 (ReZero): requires a branch whose output has the shape of its input, "
        + "6, got 5")
    #expect(
      sentence { _ = try Model(ReZero(Dense(6), initialScale: .nan), input: [6], device: .cpu) }
        .contains("a finite initial scale"))
  }
}
