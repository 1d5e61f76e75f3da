import KeelAutograd
import KeelBackend
import KeelNN

/// Rules about first values that training cannot get away from.
extension LintSubject {
  func symmetryRules() -> [Diagnostic] { zeroInitialSymmetry() + frozenZeros() }

  /// Two consecutive layers whose weights are all equal: their units do the same forever.
  private func zeroInitialSymmetry() -> [Diagnostic] {
    var found: [Diagnostic] = []
    for chain in layout.chains {
      var before: LintLayout.Link?
      for link in chain {
        guard let weight = link.linear?.weight else {
          if !link.isTransparent && !isNormalization(link.layer) { before = nil }
          continue
        }
        guard let value = equalValue(of: weight) else {
          before = nil
          continue
        }
        if let first = before { found.append(symmetry(first, link, value)) }
        before = link
      }
    }
    return found
  }

  private func symmetry(
    _ first: LintLayout.Link, _ second: LintLayout.Link, _ value: Float
  ) -> Diagnostic {
    let frozen = [first, second].filter { $0.linear?.weight.isTrainable == false }.map(\.path)
    let what =
      value == 0 ? "no gradient reaches either" : "their units get equal gradients at every step"
    return Diagnostic(
      .error, rule: "zero-init-symmetry", place: first.path,
      message: "the weights of \(first.path) and \(second.path) are all equal: \(what), and the "
        + "symmetry never breaks"
        + (frozen.isEmpty
          ? ""
          : "; \(frozen.joined(separator: " and ")) \(frozen.count == 1 ? "is" : "are") frozen"),
      fixIt: "give one of the two a random initialiser such as .heNormal")
  }

  /// A frozen weight of zeros lets nothing through.
  private func frozenZeros() -> [Diagnostic] {
    layout.chains.joined().compactMap { link in
      guard let weight = link.linear?.weight, !weight.isTrainable, equalValue(of: weight) == 0
      else { return nil }
      return Diagnostic(
        .warning, rule: "frozen-zero", place: link.path,
        message:
          "\(weight.name) is all zero and frozen: nothing gets through the layer, forward or "
          + "backward",
        fixIt: "unfreeze it, or give it other values first")
    }
  }

  /// The value that all elements of a weight have, if that was how it began and still is so.
  private func equalValue(of weight: Parameter) -> Float? {
    guard weight.initializer.isConstant, weight.shape.count > 1 else { return nil }
    guard let values = try? weight.tensor?.scalars(), let first = values.first else { return nil }
    return values.allSatisfy { $0 == first } ? first : nil
  }

  func isNormalization(_ layer: any Layer) -> Bool {
    layer is BatchNorm || layer is LayerNorm || layer is RMSNorm || layer is GroupNorm
  }
}

extension Initializer {
  /// Whether all elements begin equal.
  fileprivate var isConstant: Bool {
    switch self {
    case .zeros, .ones, .constant: true
    case .uniform(let low, let high): low == high
    case .normal(_, let deviation), .truncatedNormal(_, let deviation): deviation == 0
    case .orthogonal(let gain): gain == 0
    case .identity(let gain): gain == 0
    case .sparse(_, let deviation): deviation == 0
    case .segments, .varianceScaling: false
    }
  }

  /// The mean that elements have in expectation.
  var expectedMean: Double {
    switch self {
    case .ones: 1
    case .constant(let value): Double(value)
    case .uniform(let low, let high): (Double(low) + Double(high)) / 2
    case .normal(let mean, _), .truncatedNormal(let mean, _): Double(mean)
    case .zeros, .segments, .varianceScaling, .orthogonal, .identity, .sparse: 0
    }
  }
}
