public import KeelAutograd
public import KeelBackend
public import KeelNN

/// Rescales the hidden units of a network by powers of two, so that gradients (or weights) are of
/// one size everywhere while the network's function stays the same to the bit.
///
/// For what is positively homogeneous (dense layers and convolutions with relu, leaky relu or no
/// activation, pooling, flattening, dropout, residual joins), multiplying what makes a unit by
/// c > 0 and dividing what uses it by c changes nothing but the gradients: those of the first are
/// divided by c, those of the second multiplied. Clipping a gradient changes a step's direction or
/// length; this makes it smaller without any bias. With c a power of two, every product and sum is
/// scaled exactly: outputs are bitwise equal as long as nothing over- or underflows.
///
/// A batch normalisation is a border: its own scale and shift move, exactly, with the units that it
/// gives, and what comes in stays. Before tanh, sigmoid, gelu and the like no such c exists: there
/// it is recorded in the plan ("wrapped") and nothing changes.
///
/// ```swift
/// let equity = try EquityTransform(.gradientBalancing)
/// let plan = try equity.prepare(model) { pass throws(TensorError) in
///   try loss(model(images, pass), labels)
/// }
/// print(plan)
/// ```
///
/// It hurts where a unit's size has a meaning of its own: with weight decay (whose objective
/// changes), with weights shared outside the model, in half precision (where a large c overflows).
/// Path-SGD (Neyshabur et al., 2015) and symmetry teleportation (Zhao et al., 2022) use the same
/// symmetry.
public struct EquityTransform: Hashable, Sendable, Codable {
  /// What the multipliers make equal.
  public enum Choice: String, Hashable, Sendable, Codable, CaseIterable {
    /// c = sqrt(a / b) for each unit, with a the norm of the gradients of what makes it and b of
    /// what uses it: the least norm of all gradients that any c reaches.
    case gradientBalancing = "gradients"
    /// c = sqrt(r2 / r1), with r1 and r2 the norms of the weights: cross-layer equalisation (Nagel
    /// et al., 2019), iterated until nothing moves: ENorm (Stock et al., 2019).
    case weightBalancing = "weights"
  }

  /// What happens before batch normalisations.
  public enum BeforeBatchNorm: String, Hashable, Sendable, Codable, CaseIterable {
    /// Nothing: the only exact way.
    case untouched
    /// Filters get a norm of about 1 (the next power of two), and running statistics go along
    /// (mean * c, variance * c^2). Exact but for the epsilon of the normalisation.
    case unitNorm = "unit-norm"
  }

  /// What the multipliers make equal.
  public let choice: Choice
  /// The paths of the layers whose units are rescaled; nil for all that can be.
  public let layers: [String]?
  /// What happens before batch normalisations.
  public let beforeBatchNorm: BeforeBatchNorm

  /// A transform of the layers named, which must all be able to take it, or of all that can be.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when the list of layers is empty.
  public init(
    _ choice: Choice = .gradientBalancing, layers: [String]? = nil,
    beforeBatchNorm: BeforeBatchNorm = .untouched
  ) throws(TensorError) {
    guard layers?.isEmpty != true else {
      throw .shape(
        ShapeError(
          "equity", requires: "the path of at least one layer (nil for all)", gotText: "none"))
    }
    self.choice = choice
    self.layers = layers
    self.beforeBatchNorm = beforeBatchNorm
  }

  /// What the transform would do to a model as it is, whose gradients are those of the last
  /// backward pass. Waits for the device.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when a layer named does not exist or cannot take the
  ///   transform, when numbers are not finite, or when balancing by gradients finds only zeros.
  public func plan(for model: Model) throws(TensorError) -> EquityPlan {
    let values = try values(of: model)
    if let complaint = complaint(about: values, model) { throw .shape(complaint) }
    return try plan(for: model, values)
  }

  /// Transforms a model, if it is out of balance: its parameters, the gradients of the last
  /// backward pass, and running statistics.
  ///
  /// - Parameter ifImbalanceAbove: the ``EquityPlan/imbalance`` from which on it is worth it; nil
  ///   for any.
  /// - Throws: as ``plan(for:)``, or ``TensorError/shape(_:)`` when a parameter would overflow.
  ///   The model is then as it was.
  @discardableResult
  public func apply(
    to model: Model, ifImbalanceAbove limit: Double? = nil
  ) throws(TensorError) -> EquityPlan {
    try apply(to: model, moments: [], ifImbalanceAbove: limit)
  }

  /// Transforms a model before its training: a backward pass of one batch, then the transform.
  ///
  /// - Parameter loss: from a training pass to a scalar.
  /// - Throws: as ``apply(to:ifImbalanceAbove:)``, or what `loss` throws.
  @discardableResult
  public func prepare(
    _ model: Model, _ loss: (Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) -> EquityPlan {
    _ = try model.valueAndGradient(step: 0, weight: 1, accumulates: false, loss)
    return try apply(to: model)
  }

  /// The same by several batches: what is balanced is the root mean square of their gradients. The
  /// deeper a network, the more a single batch says of the batch alone, and the less of the units.
  ///
  /// - Parameters:
  ///   - batches: how many backward passes there are.
  ///   - loss: from the number of the batch, from 0, and a training pass to a scalar.
  /// - Throws: ``TensorError/shape(_:)`` for less than one batch; as the other form.
  @discardableResult
  public func prepare(
    _ model: Model, batches: Int, _ loss: (Int, Pass) throws(TensorError) -> Tensor
  ) throws(TensorError) -> EquityPlan {
    guard batches >= 1 else {
      throw .shape(
        ShapeError("equity", requires: "at least one batch", gotText: "\(batches)"))
    }
    guard let sizes = try model.arena.makeMoments(1).first else {
      preconditionFailure("no room was made")
    }
    for number in 0..<batches {
      _ = try model.valueAndGradient(step: UInt64(number), weight: 1, accumulates: false) {
        (pass) throws(TensorError) in try loss(number, pass)
      }
      // Each of n batches counts 1 / n in the end.
      try sizes.remember(
        model.arena.gradients, keeping: Double(number) / Double(number + 1),
        on: model.device.backend)
    }
    let values = try values(of: model, gradientSizes: sizes)
    if let complaint = complaint(about: values, model) { throw .shape(complaint) }
    return try carryOut(try plan(for: model, values), on: model, moments: [], limit: nil)
  }

  /// The same, with the optimizer's moments carried along.
  ///
  /// - Parameter moments: arrays parallel to the parameters, the first linear in the gradient and
  ///   the second quadratic, as those of SGD (1) and Adam (2) are.
  @discardableResult
  package func apply(
    to model: Model, moments: [NDArray], ifImbalanceAbove limit: Double? = nil
  ) throws(TensorError) -> EquityPlan {
    if let limit, !(limit.isFinite && limit >= 1) {
      throw .shape(
        ShapeError(
          "equity", requires: "a finite limit of imbalance of at least 1 (nil for none)",
          gotText: "\(limit)"))
    }
    return try carryOut(try plan(for: model), on: model, moments: moments, limit: limit)
  }

  /// Does what a plan says if the model is out of balance by more than the limit.
  func carryOut(
    _ plan: EquityPlan, on model: Model, moments: [NDArray], gradientSizes: NDArray? = nil,
    limit: Double?
  ) throws(TensorError) -> EquityPlan {
    var plan = plan
    guard plan.imbalance > limit ?? 0, !plan.changesNothing else { return plan }
    plan.inexactNumbers = try EquityFold(plan.exponents, plan.units).apply(
      to: model, moments: moments, gradientSizes: gradientSizes)
    plan.isApplied = true
    return plan
  }

  /// Folds given multipliers, powers of two, into the units of one layer: whatever the choice.
  ///
  /// - Parameters:
  ///   - exponents: log2 of the multiplier of each unit, -126 ... 126.
  ///   - layer: the layer's path. Units tied to those of other layers move with them.
  /// - Throws: ``TensorError/shape(_:)`` that names the layer and the reason when it cannot take
  ///   them, or a parameter would overflow. The model is then as it was.
  public static func fold(
    _ exponents: [Int], into layer: String, of model: Model
  ) throws(TensorError) {
    try fold(exponents, into: layer, of: model, moments: [])
  }

  package static func fold(
    _ exponents: [Int], into layer: String, of model: Model, moments: [NDArray]
  ) throws(TensorError) {
    let units = HiddenUnits(model, .scaling)
    let transform = try EquityTransform(.weightBalancing, layers: [layer])
    try transform.requireFoldable(units, in: model)
    guard let bank = units.banks.first(where: { $0.layer == layer }) else { return }
    guard exponents.count == bank.units.count, exponents.allSatisfy({ abs($0) <= 126 }) else {
      throw .shape(
        ShapeError(
          bank.title, requires: "\(bank.units.count) exponents within -126 ... 126",
          gotText: "\(exponents.count) in \(exponents.min() ?? 0) ... \(exponents.max() ?? 0)"))
    }
    var all = [Int](repeating: 0, count: units.count + 1)
    for (unit, exponent) in zip(bank.units, exponents) { all[unit] = exponent }
    _ = try EquityFold(all, units).apply(to: model, moments: moments)
  }
}
