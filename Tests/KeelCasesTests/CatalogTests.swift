import KeelBackend
import KeelCases
import Testing

/// The table itself.
@Suite struct CatalogTests {
  @Test func idsAreUnique() {
    let ids = CaseCatalog.all.map(\.id) + CaseCatalog.errors.map(\.id)
    #expect(Set(ids).count == ids.count)
  }

  @Test func bothHalfTypesHaveCases() {
    let ids = HalfStorageCases.all.map(\.id)
    for type in ["_float16", "_bfloat16"] {
      let count = ids.count { $0.hasSuffix(type) }
      #expect(count >= 30 && count <= ids.count - 30)
    }
  }

  @Test func everyOperationHasCases() {
    for operation in OperationName.allCases {
      let cases = CaseCatalog.cases(of: operation)
      #expect(cases.contains { $0.sizeClass == .small }, "\(operation)")
      #expect(cases.allSatisfy { $0.operation == operation }, "\(operation)")
    }
  }

  /// Operations whose methods have a gradient; the others give integers, constants or state.
  @Test(arguments: OperationName.allCases)
  func differentiableOperationsHaveGradientCases(operation: OperationName) {
    let withoutGradient: Set<OperationName> = [
      .argmax, .fill, .oneHot, .random, .gradientTelescope, .stepControl,
      .gradientClip, .optimizerStep, .gradientNoise, .regularization, .unitNorm, .multiplyAddPeak,
      // Its contract is a gradient.
      .biasActivation,
    ]
    let hasGradient = CaseCatalog.cases(of: operation).contains { !$0.differentiable.isEmpty }
    #expect(hasGradient == !withoutGradient.contains(operation))
  }

  @Test func aliasesFindCases() {
    #expect(CaseCatalog.find("conv2d/stride2_same")?.id == "convolution2d/stride2_same")
    #expect(CaseCatalog.find("convolution2d/stride2_same") != nil)
    #expect(CaseCatalog.find("softmax/rows7_columns33") != nil)
    #expect(CaseCatalog.find("nothing/here") == nil)
    #expect(!CaseCatalog.matching("conv2d", in: CaseCatalog.small).isEmpty)
    #expect(CaseCatalog.matching("", in: CaseCatalog.small).count == CaseCatalog.small.count)
  }

  @Test func operandsDependOnTheIdAlone() throws {
    let one = try #require(CaseCatalog.find("softmax/rows7_columns33"))
    #expect(one.values.map(\.bits) == one.values.map(\.bits))
    #expect(CaseInput.fingerprint("") == 0xCBF2_9CE4_8422_2325)
    #expect(CaseInput.fingerprint("a") == 0xAF63_DC4C_8601_EC8C)
  }

  @Test func comparisonSeesWhatDiffers() {
    func failure(_ got: [Float], _ expected: [Double], _ bound: Double) -> String? {
      var comparison = Comparison()
      comparison.add(
        "y", got: got, expected: expected, magnitudes: expected.map(abs), bound: bound)
      return comparison.failure
    }
    #expect(failure([1, 2], [1, 2], 0) == nil)
    #expect(failure([1], [1, 2], 4) != nil)
    #expect(failure([.nan], [.nan], 0) == nil)
    #expect(failure([1], [.nan], 1e9) != nil)
    #expect(failure([.nan], [1], 1e9) != nil)
    #expect(failure([.infinity], [-.infinity], 1e9) != nil)
    #expect(failure([Float(1).nextUp], [1], 0) != nil)
    #expect(failure([Float(1).nextUp], [1], 4) == nil)
    #expect(failure([1.001], [1], 4) != nil)
    #expect(failure([0], [1e-39], 4) == nil)
  }
}
