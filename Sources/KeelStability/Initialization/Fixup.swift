import Glibc
import KeelAutograd
public import KeelBackend
public import KeelNN

/// What ``KeelNN/Model/initializeFixup(_:zerosClassifier:)`` did.
public struct FixupReport: Hashable, Sendable {
  /// One residual branch.
  public struct Branch: Hashable, Sendable {
    /// Its path.
    public var path: String
    /// Its weights in order, m of them; the last one is 0 now.
    public var weights: [String]
    /// What the others were multiplied by, L^(-1 / (2m - 2)).
    public var scale: Double
  }

  /// The branches, L of them.
  public var branches: [Branch]
  /// The weight of the classifier if it was set to 0.
  public var classifier: String?
}

extension Model {
  /// Fixup initialisation of a residual network (Zhang, Dauphin & Ma, 2019), which then trains
  /// without normalisation at any depth: with L residual branches of m weights each,
  /// - the last weight of each branch is 0, so that every block starts as its shortcut;
  /// - the others of the branch are drawn by `initializer` and multiplied by L^(-1 / (2m - 2));
  /// - weights outside branches are drawn by `initializer`; the last one, the classifier, is 0.
  ///
  /// Branches are those of residual layers such as ``KeelNN/ReZero`` and of one's own layers that
  /// declare them by ``KeelNN/LayerScope/residualBranch(_:_:input:)``; a branch within a branch
  /// counts on its own. Biases and parameters of normalisations keep their values. The paper's
  /// third rule, a learned multiplier for each branch and biases, is a matter of the network:
  /// ``KeelNN/ReZero`` with an initial scale of 1 has the multiplier. Frozen parameters stay.
  ///
  /// - Throws: ``TensorError/shape(_:)`` for a network without residual branches.
  @discardableResult
  public func initializeFixup(
    _ initializer: Initializer = .heNormal, zerosClassifier: Bool = true
  ) throws(TensorError) -> FixupReport {
    let weights = parameters.filter(\.isWeight)
    var outside = weights
    // Inner branches come before those around them and take what is theirs.
    let branches = residualBranches.compactMap { branch -> (String, [Parameter])? in
      let members = outside.filter { branch.parameters.contains($0.index) }
      outside.removeAll { branch.parameters.contains($0.index) }
      return members.isEmpty ? nil : (branch.path, members)
    }
    guard !branches.isEmpty else {
      throw .shape(
        ShapeError(
          "fixup", requires: "a network with residual branches that have weights",
          gotText: "none among \(weights.count) weights"))
    }
    return try WeightSnapshot.protecting(self) { () throws(TensorError) in
      var report = FixupReport(branches: [])
      for (path, inner) in branches {
        // A branch of one weight has nothing but its last.
        let scale =
          inner.count > 1
          ? pow(Double(branches.count), -1 / Double(2 * inner.count - 2)) : 1
        for weight in inner.dropLast() { try draw(initializer, scale, weight) }
        if let last = inner.last { try draw(.zeros, 1, last) }
        report.branches.append(
          FixupReport.Branch(path: path, weights: inner.map(\.name), scale: scale))
      }
      for weight in outside { try draw(initializer, 1, weight) }
      if zerosClassifier, let classifier = outside.last, classifier.name == weights.last?.name {
        try draw(.zeros, 1, classifier)
        report.classifier = classifier.name
      }
      initializationMethod = "Fixup"
      return report
    }
  }

  private func draw(
    _ initializer: Initializer, _ scale: Double, _ weight: Parameter
  ) throws(TensorError) {
    if weight.isFreeWeight { try setFirstValues(initializer, scale: scale, of: weight) }
  }
}
