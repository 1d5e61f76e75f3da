import KeelBackend
import KeelNN

/// What an ``EquityTransform`` does, or would do, to a model.
public struct EquityPlan: Sendable, CustomStringConvertible {
  /// The multipliers of one layer's units.
  public struct Layer: Sendable {
    /// The layer's path.
    public let name: String
    /// log2 of the multiplier of each unit, in the order of the layer's output.
    public let exponents: [Int]
    /// Why the multipliers are recorded only ("wrapped"), or nil where they are folded into the
    /// parameters.
    public let wrappedBecause: String?
  }

  /// The layers with hidden units, in the order of the network.
  public let layers: [Layer]
  /// The L2 norm that the choice looks at, of gradients or of parameters, before.
  public let normBefore: Double
  /// The same after.
  public let normAfter: Double
  /// The same with multipliers that are not rounded to powers of two: what is possible.
  public let smallestNorm: Double
  /// The largest ratio, over layers, of the norm of what makes its units to the norm of what uses
  /// them, or its inverse; 1 is balance. Infinite where one of them is 0 and the other is not.
  public let imbalance: Double
  /// Whether the model was changed.
  public internal(set) var isApplied = false
  /// Numbers that became subnormal or 0 and are not exact any more: 0 unless a model has numbers
  /// below about 1e-38 times a multiplier.
  public internal(set) var inexactNumbers = 0

  /// The exponent of each unit, folded ones only.
  package let exponents: [Int]
  package let units: HiddenUnits

  /// Whether every folded multiplier is 1.
  public var changesNothing: Bool { exponents.allSatisfy { $0 == 0 } }

  /// Such as `gradient norm 46150 -> 14106 (at best 13453), imbalance 1.0e+06`.
  public var description: String {
    let folded = layers.filter { $0.wrappedBecause == nil }.count
    return "norm \(normBefore.compact()) -> \(normAfter.compact()) "
      + "(at best \(smallestNorm.compact())), imbalance \(imbalance.compact()), "
      + "\(folded) layers folded, \(layers.count - folded) wrapped"
  }
}
