import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import KeelStability
import Testing

@Suite struct FixupTests {
  private func network(depth: Int, width: Int = 32) -> Sequential {
    Sequential {
      Dense(width, activation: .relu)
      for _ in 0..<depth {
        ReZero(initialScale: 1) {
          Dense(width, activation: .relu)
          Dense(width, activation: .relu)
          Dense(width)
        }
      }
      Dense(3)
    }
  }

  private func deviation(_ model: Model, _ name: String) throws -> Double {
    let values = try model.weights(named: name).map(Double.init)
    return (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
  }

  /// L^(-1 / (2m - 2)) with m = 3 and L = 16: a half of He's deviation.
  @Test(arguments: TestDevices.all) func branchesAreScaledAndEndInZero(_ device: Device) throws {
    let model = try Model(network(depth: 16, width: 64), input: [10], device: device, seed: 5)
    let report = try model.initializeFixup()
    #expect(report.branches.count == 16 && report.classifier == "dense2.weight")
    let he = (2.0 / 64).squareRoot()
    for branch in report.branches {
      #expect(branch.weights.count == 3 && abs(branch.scale - 0.5) < 1e-12)
      for name in branch.weights.dropLast() {
        #expect(abs(try deviation(model, name) / (he / 2) - 1) < 0.06)
      }
      #expect(try model.weights(named: branch.weights[2]).allSatisfy { $0 == 0 })
    }
    #expect(abs(try deviation(model, "dense1.weight") / (2.0 / 10).squareRoot() - 1) < 0.15)
    #expect(try model.weights(named: "dense2.weight").allSatisfy { $0 == 0 })
    // Every block passes its input on: the network is its first and last layer.
    try model.initialize(.ones, at: "dense2")
    let x = try Tensor((0..<20).map { Float($0 % 7) - 3 }, shape: [2, 10], on: device)
    let weight = try #require(model.parameters[0].tensor)
    let hidden = try x.dense(weight, activation: .relu)
    let ones = try #require(model.parameters.first { $0.name == "dense2.weight" }?.tensor)
    #expect(try model(x).scalars() == hidden.dense(ones).scalars())
  }

  /// What the paper is for: an SGD step changes the function by as much at any depth.
  @Test func aStepDoesNotGrowWithTheDepth() throws {
    func change(depth: Int, usesFixup: Bool) throws -> Double {
      let model = try Model(network(depth: depth), input: [10], device: .cpu, seed: 5)
      if usesFixup { try model.initializeFixup(zerosClassifier: false) }
      let x = try Tensor((0..<40).map { Float($0 * 5 % 7) / 3 - 1 }, shape: [4, 10], on: .cpu)
      let labels = try Tensor([0, 1, 2, 0] as [Int32], shape: [4], on: .cpu)
      let before = try model(x).scalars()
      let updater = try Updater(.sgd(learningRate: 0.01), for: model)
      // Two steps: in the first one only the zeros move.
      for _ in 0..<2 {
        _ = try model.valueAndGradient { (pass) throws(TensorError) in
          try Loss.softmaxCrossEntropy()(model(x, pass), labels)
        }
        try updater.update()
      }
      let after = try model(x).scalars()
      // What overflowed counts as largest: a maximum drops a NaN.
      guard after.allSatisfy(\.isFinite) else { return .infinity }
      return zip(before, after).reduce(0) { max($0, Double(abs($1.0 - $1.1))) }
    }
    let (shallow, deep) = (
      try change(depth: 4, usesFixup: true), try change(depth: 64, usesFixup: true)
    )
    #expect(shallow > 0 && deep < 20 * shallow, "\(shallow), \(deep)")
    let exploded = try change(depth: 64, usesFixup: false)
    #expect(!(exploded < 1e4), "\(exploded)")
  }

  @Test func networksWithoutBranchesAreRefused() throws {
    let model = try Model(Models.mlp(hidden: [4], classes: 2), input: [3], device: .cpu)
    let before = try model.weights(named: "dense1.weight")
    #expect(sentence { try model.initializeFixup() }.contains("residual branches"))
    #expect(try model.weights(named: "dense1.weight") == before)
  }

  @Test func frozenWeightsStay() throws {
    let model = try Model(network(depth: 2), input: [10], device: .cpu, seed: 5)
    try model.freeze("rezero1.branch.dense3")
    let kept = try model.weights(named: "rezero1.branch.dense3.weight")
    try model.initializeFixup()
    #expect(try model.weights(named: "rezero1.branch.dense3.weight") == kept)
    #expect(try model.weights(named: "rezero2.branch.dense3.weight").allSatisfy { $0 == 0 })
  }

  /// A branch within a branch has members of its own.
  @Test func branchesNest() throws {
    let model = try Model(
      Sequential {
        ReZero {
          Dense(4)
          ReZero {
            Dense(4)
            Dense(4)
          }
          Dense(4)
        }
      }, input: [4], device: .cpu, seed: 5)
    let report = try model.initializeFixup()
    #expect(report.branches.map(\.weights.count) == [2, 2])
    #expect(report.classifier == nil)
    #expect(report.branches.allSatisfy { abs($0.scale - pow(2, -0.5)) < 1e-12 })
  }
}
