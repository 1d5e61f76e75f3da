import Glibc
import Keel
import KeelAutograd
import KeelBackend
import KeelNN
import Testing

@Suite struct NormLayerTests {
  /// Group normalisation as its definition reads, rows of positions x channels per example.
  private func groupNorm(
    _ t: [[Double]], batch: Int, groups: Int, epsilon: Double
  ) -> [Double] {
    let (x, gamma, beta) = (t[0], t[1], t[2])
    let (channels, example) = (gamma.count, x.count / batch)
    let width = channels / groups
    var y = x
    for b in 0..<batch {
      for g in 0..<groups {
        let members = (0..<example).filter { $0 % channels / width == g }.map { b * example + $0 }
        let mean = members.reduce(0) { $0 + x[$1] } / Double(members.count)
        let variance =
          members.reduce(0) { $0 + (x[$1] - mean) * (x[$1] - mean) } / Double(members.count)
        for i in members {
          let c = i % channels
          y[i] = (x[i] - mean) / (variance + epsilon).squareRoot() * gamma[c] + beta[c]
        }
      }
    }
    return y
  }

  @Test(arguments: TestDevices.all)
  func groupNormIsItsDefinitionWithItsGradient(_ device: Device) throws {
    for groups in [1, 2, 3, 6] {
      try expectLayer(
        GroupNorm(groups), input: [2, 3, 6], batch: 2, on: device, center: 0.5
      ) { groupNorm($0, batch: 2, groups: groups, epsilon: Double(Float(1e-5))) }
    }
    // Without an image, groups are neighbours in memory.
    try expectLayer(GroupNorm(2, epsilon: 1e-2), input: [8], batch: 3, on: device) {
      groupNorm($0, batch: 3, groups: 2, epsilon: Double(Float(1e-2)))
    }
  }

  @Test(arguments: TestDevices.all)
  func groupNormAppliesItsActivation(_ device: Device) throws {
    try expectLayer(
      GroupNorm(2, activation: .tanh), input: [2, 2, 4], batch: 2, on: device
    ) { t in
      groupNorm(t, batch: 2, groups: 2, epsilon: Double(Float(1e-5))).map { tanh($0) }
    }
  }

  @Test(arguments: TestDevices.all)
  func rmsNormIsItsDefinitionWithItsGradient(_ device: Device) throws {
    try expectLayer(RMSNorm(epsilon: 1e-3), input: [2, 5], batch: 3, on: device, center: 0.4) {
      t in
      let (x, gamma) = (t[0], t[1])
      return x.indices.map { i in
        let row = (i / 5 * 5)..<(i / 5 * 5 + 5)
        let square = row.reduce(0) { $0 + x[$1] * x[$1] } / 5
        return x[i] / (square + Double(Float(1e-3))).squareRoot() * gamma[i % 5]
      }
    }
  }

  @Test(arguments: TestDevices.all)
  func batchNormIsItsDefinitionWithTheGradientOfItsStatistics(_ device: Device) throws {
    try expectLayer(
      BatchNorm(epsilon: 1e-3, activation: .tanh), input: [3, 2], batch: 4, on: device, center: 2
    ) { t in
      let (x, gamma, beta, rows) = (t[0], t[1], t[2], t[0].count / 2)
      return x.indices.map { i in
        let column = (0..<rows).map { x[2 * $0 + i % 2] }
        let mean = column.reduce(0, +) / Double(rows)
        let variance = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows)
        let deviation = (variance + Double(Float(1e-3))).squareRoot()
        return tanh((x[i] - mean) / deviation * gamma[i % 2] + beta[i % 2])
      }
    }
  }

  /// A NaN stays within its example and, for groups, within its group; nothing hides it.
  @Test(arguments: TestDevices.all) func faultsStayVisible(_ device: Device) throws {
    var values = pattern(2 * 4 * 4)
    values[5] = .nan
    let x = try Tensor(values, shape: [2, 2, 2, 4], on: device)
    let group = try Model(GroupNorm(2), input: [2, 2, 4], device: device)(x).scalars()
    for i in group.indices { #expect(group[i].isNaN == (i < 16 && i % 4 < 2)) }
    let square = try Model(RMSNorm(), input: [2, 2, 4], device: device)(x).scalars()
    for i in square.indices { #expect(square[i].isNaN == (4..<8).contains(i)) }
  }

  @Test func normsRefuseWhatTheyCannotTake() {
    func refusal(_ layer: any Layer, _ input: Shape) -> String {
      sentence { _ = try Model(Sequential([layer]), input: input, device: .cpu, seed: 0) }
    }
    #expect(
      refusal(GroupNorm(3), [2, 2, 8])
        == "groupnorm1 (GroupNorm): requires groups that divide the channels, got 3 groups of 8 "
        + "channels")
    #expect(refusal(GroupNorm(0), [2, 2, 8]).contains("got 0 groups"))
    #expect(refusal(GroupNorm(8), [8]).contains("more than one value in each group"))
    #expect(refusal(GroupNorm(2, epsilon: 0), [8]).contains("a finite epsilon above 0, got 0.0"))
    #expect(refusal(RMSNorm(epsilon: .nan), [8]).contains("a finite epsilon above 0, got nan"))
  }

  @Test func momentumIsThePartThatIsKept() throws {
    let model = try Model(BatchNorm(momentum: 0.75), input: [1], device: .cpu)
    let x = try Tensor([4, 8], shape: [2, 1], on: .cpu)
    _ = try model(x, Pass(isTraining: true, seed: 0, step: 0))
    #expect(try model.weights(named: "running_mean") == [0.25 * 6])
    #expect(try model.weights(named: "running_variance") == [0.75 + 0.25 * 8])
  }
}
