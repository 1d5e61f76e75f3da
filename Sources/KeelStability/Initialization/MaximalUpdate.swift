import KeelAutograd
public import KeelBackend
public import KeelNN

/// What ``KeelNN/Model/initializeMuP(base:for:zerosOutput:)`` did with each parameter.
public struct MuPReport: Hashable, Sendable {
  /// What a parameter is, seen from the base model.
  public enum Role: String, Hashable, Sendable {
    /// Its fan-out grows with the width, its fan-in does not.
    case input
    /// Both grow.
    case hidden
    /// Its fan-in grows, its fan-out does not.
    case output
    /// A bias or a parameter of a normalisation.
    case vector
    /// Neither grows.
    case fixed
  }

  /// One parameter.
  public struct Entry: Hashable, Sendable {
    /// Its path.
    public var name: String
    /// Its role.
    public var role: Role
    /// The standard deviation of its first values; 0 of a vector, which keeps its values.
    public var deviation: Double
    /// What its learning rate is multiplied by.
    public var learningRateScale: Float
  }

  /// All parameters, in order.
  public var entries: [Entry]
}

extension Model {
  /// The maximal update parametrisation (muP, Yang & Hu, 2021; table 3 of Yang et al., 2022):
  /// the best learning rate of a narrow model is then that of a wide one.
  ///
  /// `base` is the same network, narrower; what is wider here than there counts as growing. With
  /// r = fan-in here / fan-in there, weights are normal with mean 0 and
  ///
  /// | role | variance | Adam's learning rate | SGD's learning rate |
  /// |---|---|---|---|
  /// | input | 1 / fanIn | 1 | fanOut / fanOut there |
  /// | hidden | 1 / fanIn | 1 / r | 1 |
  /// | output | 1 / (fanIn * r), or 0 | 1 / r | 1 / r |
  /// | vector | unchanged | 1 | count / count there |
  ///
  /// The output's row is the multiplier 1 / r of the other form of muP, moved into the weight and
  /// its learning rate: the same training without another operation. In a model as wide as `base`
  /// every scale is 1 and the last weight is the output. Frozen weights keep their values.
  ///
  /// - Parameters:
  ///   - optimizer: chooses the column: Adam's and AdamW's steps, or SGD's.
  ///   - zerosOutput: whether output weights start at 0, as the authors recommend.
  /// - Throws: ``TensorError/shape(_:)`` unless `base` has parameters of the same names and ranks.
  @discardableResult
  public func initializeMuP(
    base: Model, for optimizer: Optimizer, zerosOutput: Bool = true
  ) throws(TensorError) -> MuPReport {
    guard base.parameters.map(\.name) == parameters.map(\.name),
      base.parameters.map(\.shape.rank) == parameters.map(\.shape.rank)
    else {
      throw .shape(
        ShapeError(
          "muP", requires: "a base model that differs in width alone, parameter for parameter",
          gotText: "\(base.parameters.count) parameters for \(parameters.count)"))
    }
    let isAdam = if case .adam = optimizer.rule { true } else { false }
    return try WeightSnapshot.protecting(self) { () throws(TensorError) in
      var entries: [MuPReport.Entry] = []
      // As wide as the base, nothing tells roles but the order.
      let isBase = zip(parameters, base.parameters).allSatisfy { $0.shape == $1.shape }
      let last = isBase ? parameters.last(where: \.isWeight) : nil
      for (parameter, other) in zip(parameters, base.parameters) {
        let widths = MuPWidths(parameter, base: other, isOutput: parameter === last)
        var entry = MuPReport.Entry(
          name: parameter.name, role: widths.role, deviation: 0,
          learningRateScale: Float(widths.learningRateScale(isAdam: isAdam)))
        if parameter.isFreeWeight {
          entry.deviation =
            zerosOutput && widths.role == .output ? 0 : widths.variance.squareRoot()
          try setFirstValues(
            .normal(mean: 0, deviation: Float(entry.deviation)), scale: 1, of: parameter)
        }
        entries.append(entry)
      }
      try setLearningRateScales(entries.map(\.learningRateScale))
      initializationMethod = "muP"
      return MuPReport(entries: entries)
    }
  }
}

/// How much wider a parameter is than that of the base.
private struct MuPWidths {
  let role: MuPReport.Role
  private let fanIn: Double
  private let inward: Double
  private let outward: Double

  init(_ parameter: Parameter, base: Parameter, isOutput: Bool) {
    fanIn = Double(max(parameter.fanIn, 1))
    guard parameter.isWeight else {
      // The fans of biases and norm parameters say nothing about how many there are.
      (role, inward) = (.vector, 1)
      outward = Double(parameter.shape.count) / Double(base.shape.count)
      return
    }
    inward = fanIn / Double(max(base.fanIn, 1))
    outward = Double(parameter.fanOut) / Double(max(base.fanOut, 1))
    role =
      switch (inward != 1, outward != 1) {
      case (false, true): .input
      case (true, true): .hidden
      case (true, false): .output
      case (false, false): isOutput ? .output : .fixed
      }
  }

  var variance: Double { role == .output ? 1 / (fanIn * inward) : 1 / fanIn }

  func learningRateScale(isAdam: Bool) -> Double {
    switch role {
    case .input, .vector: isAdam ? 1 : outward
    case .hidden: isAdam ? 1 / inward : 1
    case .output: 1 / inward
    case .fixed: 1
    }
  }
}
