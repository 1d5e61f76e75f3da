import KeelAutograd
package import KeelBackend
import KeelNN

// What a training takes along from step to step besides parameters, states and moments: the same
// list serves checkpoints and going back, so that neither can forget what the other knows.

extension Updater {
  /// The arrays on the device that stages change, each with a name of its own.
  package var carriedArrays: [(name: String, array: NDArray)] {
    let clips = pipeline.clipStates.enumerated().compactMap { number, state in
      state.map { (name: "clip\(number + 1)", array: $0) }
    }
    let vectors = pipeline.spectra.map { (name: "spectral.\($0.name)", array: $0.left.value) }
    let sizes = techniques.equity?.gradientSizes.map { [(name: "equity", array: $0)] } ?? []
    return clips + vectors + sizes
  }

  /// What a checkpoint of the second form did not keep the state of.
  package var unknownToOldCheckpoints: [String] {
    (techniques.flip == nil ? [] : ["Deadly Flip"])
      + (techniques.equity?.gradientSizes == nil ? [] : ["periodic equity transforms"])
      + (pipeline.spectra.isEmpty ? [] : ["the spectral norm"])
  }
}

/// What techniques count and remember on the host.
package struct TechniqueState: Hashable, Sendable, Codable {
  /// Of Deadly Flip, if it is at work.
  package var flip: DeadlyFlipStage.State?
  /// Of the equity transform, if it is at work.
  package var equity: EquityStage.Counters?

  /// Why a training with other techniques cannot go on from here, or nil.
  package func complaint(for techniques: StepTechniques) -> String? {
    for (name, there, here) in [
      ("Deadly Flip", flip != nil, techniques.flip != nil),
      ("periodic equity transforms", equity != nil, techniques.equity != nil),
    ] where there != here {
      return there
        ? "was trained with \(name), which this training lacks"
        : "was trained without \(name), which this training has"
    }
    return nil
  }
}

extension StepTechniques {
  /// What techniques count and remember on the host.
  package var state: TechniqueState {
    get { TechniqueState(flip: flip?.state, equity: equity?.counters) }
    set {
      if let own = newValue.flip { flip?.state = own }
      if let own = newValue.equity { equity?.counters = own }
    }
  }
}

/// How many steps were left out.
package struct SkipCounts: Hashable, Sendable, Codable {
  /// Those right before this point.
  package var inARow = 0
  /// All of them.
  package var total = 0

  package init(inARow: Int = 0, total: Int = 0) {
    self.inARow = inARow
    self.total = total
  }
}
