/// Where the first value that is not finite came from: the report of
/// ``KeelNN/Model/locateFirstCause(pass:seed:file:line:_:)``.
///
/// A *producer* is an operation whose inputs are all finite and whose result is not. Where the
/// inputs of the first bad operation already hold such values, the report names their source
/// instead: the batch, the targets, a parameter.
public struct FirstCause: Hashable, Sendable, Codable {
  /// On which way the value appeared.
  public enum Direction: String, Hashable, Sendable, Codable {
    /// In a result.
    case forward
    /// In a gradient.
    case backward
  }

  /// What the value came from.
  public enum Source: Hashable, Sendable, Codable {
    /// An operation made it out of finite numbers.
    case operation
    /// It was in the input batch; the number of the first example that holds one.
    case inputBatch(example: Int)
    /// It was in the targets; the number of the first example that holds one.
    case targets(example: Int)
    /// It was in a parameter before the step.
    case parameter(name: String)
    /// It was in a state of a layer, such as a running mean, before the step.
    case state(name: String)
    /// It was in a tensor that the computation was given otherwise.
    case constant
    /// Gradients that are finite each were added, and the sum is not.
    case gradientSum
    /// The factor that all gradients start from.
    case gradientSeed
  }

  /// An array of the operation with what it holds.
  public struct Operand: Hashable, Sendable, Codable {
    /// Such as `dense1.weight` or `the result of dense`.
    public var name: String
    /// What it holds.
    public var range: ValueRange
  }

  /// Where an operation stands.
  public struct Place: Hashable, Sendable, Codable {
    /// What users call it, such as `log` or `dense`.
    public var operation: String
    /// Its family, such as `pointwise`.
    public var family: String
    /// The path of the layer, or the name of the part of the program; nil outside all of them.
    public var layer: String?
    /// What the layer is, such as `Dense`.
    public var layerKind: String?
    /// The line that lists the layer, marks the part or computes the loss, if it is known, such as
    /// `Main/Network.swift:12`.
    public var source: String?
    /// The operation's number in forward order, from 1.
    public var number: Int
    /// The way.
    public var direction: Direction
  }

  /// What the value came from.
  public var source: Source
  /// The first operation with a result that is not finite.
  public var place: Place
  /// What it read.
  public var inputs: [Operand]
  /// What it made.
  public var output: Operand
  /// The operation before it, the last whose result is finite, and that result; nil if it is the
  /// first.
  public var lastFinite: LastFinite?
  /// Other operations that made such values out of finite ones later on, at most eight.
  public var laterProducers: [Place]

  /// The finite side of the boundary.
  public struct LastFinite: Hashable, Sendable, Codable {
    /// The operation.
    public var place: Place
    /// Its result.
    public var output: Operand
  }
}

extension FirstCause: CustomStringConvertible {
  /// The report in three to eight lines.
  public var description: String {
    var lines = [headline]
    if let source = place.source { lines.append("  at \(source), operation \(place.number)") }
    for input in inputs.prefix(3) { lines.append("  read \(input.name): \(input.range)") }
    lines.append("  made \(output.name): \(output.range)")
    if let lastFinite {
      lines.append(
        "  last finite before it: \(lastFinite.place), \(lastFinite.output.range)")
    }
    if let later = laterProducers.first {
      let count = laterProducers.count
      lines.append(
        "  made such values out of finite ones later: \(later)"
          + (count > 1 ? " and \(count - 1) more" : ""))
    }
    return lines.joined(separator: "\n")
  }

  private var headline: String {
    let kinds = output.range.kinds
    return switch source {
    case .operation: "first cause: \(place) made \(kinds) out of finite numbers"
    case .inputBatch(let example):
      "first cause: the input batch holds \(heldKinds) at example \(example); met by \(place)"
    case .targets(let example):
      "first cause: the targets hold \(heldKinds) at example \(example); met by \(place)"
    case .parameter(let name):
      "first cause: the parameter \(name) holds \(heldKinds) since before this step; "
        + "met by \(place)"
    case .state(let name):
      "first cause: the state \(name) holds \(heldKinds) since before this step; met by \(place)"
    case .constant:
      "first cause: a tensor that \(place) was given holds \(heldKinds)"
    case .gradientSum:
      "first cause: a sum of finite gradients is \(kinds), the last of them from \(place)"
    case .gradientSeed: "first cause: the gradient of the loss starts as \(heldKinds)"
    }
  }

  /// What is not finite in the first input that has such values.
  private var heldKinds: String {
    inputs.first { !$0.range.isFinite }?.range.kinds ?? output.range.kinds
  }
}

extension FirstCause.Place: CustomStringConvertible {
  /// Such as `the gradient of sqrt in head (Ratio)`.
  public var description: String {
    let what = direction == .forward ? operation : "the gradient of \(operation)"
    guard let layer else { return what }
    guard let layerKind, !layerKind.isEmpty else { return "\(what) in \(layer)" }
    return "\(what) in \(layer) (\(layerKind))"
  }
}
