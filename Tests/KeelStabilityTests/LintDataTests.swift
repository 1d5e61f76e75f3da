import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import Testing

/// Rules about data and augmentation.
@Suite struct LintDataTests {
  private let logits = Loss.softmaxCrossEntropy()

  private func model(_ outputs: Int = 3, input: Shape = [6]) throws -> Model {
    try LintBench.model(input) {
      Flatten()
      Dense(outputs)
    }
  }

  @Test func exampleShape() throws {
    expectOnly(
      Lint.check(model: try model(), loss: logits, train: try LintBench.data(6, shape: [7])),
      .error, "example-shape", at: "training set", saying: "examples of 6, these are 7")
    #expect(Lint.check(model: try model(), loss: logits, train: try LintBench.data(6)) == [])
  }

  @Test func labelsOutOfRange() throws {
    let data = try LintBench.data(9, classes: 3)
    let found = Lint.check(model: try model(2), loss: logits, train: data)
    expectOnly(
      found, .error, "labels-out-of-range", at: "training set",
      saying: "label 2 of example 2 is outside 0 ..< 2", "3 of 9", "(3)")
    #expect(Lint.check(model: try model(3), loss: logits, train: data) == [])
    expectOnly(
      Lint.check(model: try model(2), loss: logits, test: data), .error, "labels-out-of-range",
      at: "test set")
  }

  @Test func targetsOutsideUnitInterval() throws {
    let loss = Loss.sigmoidCrossEntropy
    expectOnly(
      Lint.check(model: try model(1), loss: loss, train: try LintBench.data(9, classes: 3)),
      .error, "targets-outside-unit-interval", saying: "3 of 9 labels are above, up to 2")
    #expect(
      Lint.check(model: try model(1), loss: loss, train: try LintBench.data(8, classes: 2)) == [])
    #expect(
      Lint.check(model: try model(3), loss: loss, train: try LintBench.data(9, classes: 3)) == [])
  }

  /// Article D: every file put into both sets.
  @Test func trainTestOverlap() throws {
    let data = try LintBench.data(60)
    let model = try model()
    expectOnly(
      Lint.check(model: model, loss: logits, train: data, test: data), .error,
      "train-test-overlap", at: "test set", saying: "60 of 60 examples also occur")
    let parts = try data.split(trainFraction: 0.5, stratified: true, seed: 1)
    #expect(Lint.check(model: model, loss: logits, train: parts.train, test: parts.test) == [])
    // One example in common is a warning.
    expectOnly(
      Lint.check(model: model, loss: logits, train: try data[0..<31], test: try data[30..<60]),
      .warning, "train-test-overlap", saying: "1 of 30")
  }

  /// Article D: data sorted by label, the first 10 % taken.
  @Test func missingClasses() throws {
    let data = try LintBench.data(100, classes: 5)
    let sorted = try data.sortedSplit(trainFraction: 0.1)
    let model = try model(5)
    expectOnly(
      Lint.check(model: model, loss: logits, train: sorted.train, test: sorted.test), .warning,
      "missing-classes", at: "training set", saying: "4 of 5 classes: 1, 2, 3, 4", "shuffled")
    let parts = try data.split(trainFraction: 0.1, stratified: true, seed: 1)
    #expect(Lint.check(model: model, loss: logits, train: parts.train, test: parts.test) == [])
  }

  @Test func flipOnDigits() throws {
    let digits = try SyntheticDigits.dataset(.train, count: 300)
    var unknown = digits
    unknown.kind = .unspecified
    let model = try model(10, input: digits.exampleShape)
    func found(_ text: String, _ data: Dataset) throws -> [Diagnostic] {
      Lint.check(
        model: model, loss: logits, train: data, augmentation: try Augmentation(parsing: text))
    }
    expectOnly(
      try found("shift=2,flip=horizontal", digits), .warning, "flip-on-digits",
      at: "augmentation", saying: "horizontal flip", "leave flip=horizontal out")
    expectOnly(try found("flip=vertical", digits), .warning, "flip-on-digits")
    #expect(try found("shift=2", digits) == [])
    #expect(try found("flip=horizontal@0", digits) == [])
    #expect(try found("flip=horizontal", unknown) == [])
  }
}
