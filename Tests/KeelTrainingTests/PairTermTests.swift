import Keel
import KeelBackend
import KeelNN
import KeelTraining
import Testing

/// The ranking term of pair-sampling descent, by what it does to weights.
@Suite struct PairTermTests {
  private func weights(
    _ device: Device, _ pair: PairTerm?, rate: Float = 0.1
  ) throws -> [Float] {
    let model = try Model(
      Models.mlp(hidden: [6], classes: 4), input: [8, 8, 1], device: device, seed: 5)
    let trainer = try model.compile(
      optimizer: .sgd(learningRate: rate), loss: .softmaxCrossEntropy(), pair: pair)
    try trainer.fit(TestData.columns(32), epochs: 1, batchSize: 8)
    return try model.weights(named: "dense1.weight")
  }

  @Test(arguments: TestDevices.all) func aWeightOfZeroIsPlainDescent(_ device: Device) throws {
    let plain = try weights(device, nil)
    #expect(try weights(device, PairTerm(weight: 0)) == plain)
    var seen = [plain]
    // Where all differences are below 1, the slope of the hinge is that of the linear form.
    for form in [PairTerm.Form.logistic, .linear] {
      for label in [nil, 2] as [Int?] {
        let found = try weights(device, PairTerm(label: label, weight: 0.9, form: form))
        #expect(found.allSatisfy { $0.isFinite })
        #expect(!seen.contains(found), "\(form) \(label ?? -1)")
        seen.append(found)
        #expect(try weights(device, PairTerm(label: label, weight: 0.9, form: form)) == found)
      }
    }
  }

  @Test func optionsAreChecked() {
    #expect(sentence { _ = try weights(.cpu, PairTerm(weight: -1)) }.contains("at least 0"))
    #expect(
      sentence { _ = try weights(.cpu, PairTerm(label: 9)) }.contains("a class in 0 ..< 4"))
    #expect(sentence { _ = try weights(.cpu, PairTerm(weight: .nan)) }.contains("a finite weight"))
  }
}
