public import KeelBackend
package import KeelNN

/// When an ``EquityTransform`` is applied again during training.
public struct PeriodicEquity: Hashable, Sendable, Codable {
  /// The transform.
  public var transform: EquityTransform
  /// The imbalance from which on a model is transformed.
  public var limit: Double
  /// How many steps lie between two looks.
  public var period: Int

  /// Every `period` steps, if the imbalance is above the limit.
  public init(
    _ transform: EquityTransform, ifImbalanceAbove limit: Double = 32, every period: Int = 100
  ) {
    self.transform = transform
    self.limit = limit
    self.period = period
  }
}

/// Applies an ``EquityTransform`` again during training, whenever the model has come out of
/// balance by more than a limit.
///
/// The gradients are read by the host, and so waited for, at every `period`-th step only.
public final class EquityStage {
  /// The transform.
  public let transform: EquityTransform
  /// The imbalance from which on a model is transformed.
  public let limit: Double
  /// How many steps lie between two looks.
  public let period: Int
  /// How often it looked, and how often it transformed the model.
  public package(set) var looks = 0, applications = 0
  /// What it saw or did last.
  public private(set) var lastPlan: EquityPlan?

  /// A stage that looks every `period` steps.
  ///
  /// - Throws: ``TensorError/shape(_:)`` unless the limit is finite and at least 1, and the period
  ///   at least 1.
  public init(
    _ transform: EquityTransform, ifImbalanceAbove limit: Double = 32, every period: Int = 100
  ) throws(TensorError) {
    guard limit.isFinite, limit >= 1 else {
      throw .shape(
        ShapeError(
          "equity", requires: "a finite limit of imbalance of at least 1", gotText: "\(limit)"))
    }
    guard period >= 1 else {
      throw .shape(
        ShapeError("equity", requires: "a period of at least 1 step", gotText: "\(period)"))
    }
    self.transform = transform
    self.limit = limit
    self.period = period
  }

  /// Looks, if it is time, after a step has changed the parameters.
  ///
  /// - Parameters:
  ///   - moments: the optimizer's, parallel to the parameters; they are carried along.
  ///   - step: the number of the step, from 1.
  /// - Throws: as ``EquityTransform/apply(to:ifImbalanceAbove:)``. Gradients that are not finite or
  ///   all 0 say nothing about balance: then nothing is done.
  package func stepEnded(
    model: Model, moments: [NDArray], step: UInt64
  ) throws(TensorError) {
    guard step % UInt64(period) == 0 else { return }
    looks += 1
    let values = try transform.values(of: model)
    guard transform.complaint(about: values, model) == nil else { return }
    let plan = try transform.carryOut(
      try transform.plan(for: model, values), on: model, moments: moments, limit: limit)
    if plan.isApplied { applications += 1 }
    lastPlan = plan
  }
}
