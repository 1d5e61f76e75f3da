package import KeelBackend

/// What of a model is neither a value nor declared, and decides how it trains: which parameters are
/// frozen, and which statistics batch normalisations use. A checkpoint keeps it.
package struct ModelModes: Hashable, Sendable, Codable {
  /// The names of the parameters that training leaves alone.
  package var frozen: [String]
  /// The paths of batch normalisations whose statistics are kept: those that were calibrated.
  package var calibrated: [String]
  /// The paths of those that the layer before has taken in.
  package var folded: [String]
}

extension Model {
  /// How the model trains now.
  package var modes: ModelModes {
    ModelModes(
      frozen: parameters.filter { !$0.isTrainable }.map(\.name),
      calibrated: batchNorms.filter(\.layer.use.isFrozen).map(\.path),
      folded: batchNorms.filter(\.layer.use.isFolded).map(\.path))
  }

  /// Why a model cannot train as another one did, or nil.
  package func complaint(about modes: ModelModes) -> String? {
    let names = Set(parameters.map(\.name))
    if let name = modes.frozen.first(where: { !names.contains($0) }) {
      return "'\(name)', which is frozen there, is unknown here"
    }
    let norms = Set(batchNorms.map(\.path))
    if let path = (modes.calibrated + modes.folded).first(where: { !norms.contains($0) }) {
      return "the batch normalisation '\(path)' is unknown here"
    }
    let targets = foldTargets
    guard let path = modes.folded.first(where: { targets[$0] == nil }) else { return nil }
    return "'\(path)' is folded there, and here nothing can take it in"
  }

  /// Lets the model train as another one did; values stay as they are. Requires that there is no
  /// ``complaint(about:)``.
  package func adopt(_ modes: ModelModes) throws(TensorError) {
    let (frozen, calibrated) = (Set(modes.frozen), Set(modes.calibrated))
    let (folded, targets) = (Set(modes.folded), foldTargets)
    for (path, norm) in batchNorms {
      if folded.contains(path) {
        targets[path]?.target.takeIn(norm)
        norm.use.mode = .folded
      } else {
        if norm.use.isFolded { targets[path]?.target.giveBack() }
        norm.use.mode = calibrated.contains(path) ? .frozen : .online
      }
    }
    for parameter in parameters { parameter.isTrainable = !frozen.contains(parameter.name) }
    try arena.writeScales(parameters)
  }
}
