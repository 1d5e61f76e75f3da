package import KeelBackend

/// The explosion lab: small trainings that explode, each met with every defence.
package struct Lab {
  /// All cells, and what theory says.
  package struct Result: Sendable {
    package var device: String
    package var selector: String
    package var seed: UInt64
    package var scale: StudyScale
    package var catastrophes: [Catastrophe]
    package var defences: [Defence]
    package var cells: [LabCell]
    package var claims: [LabClaim]
    package var seconds: Double

    /// The cell of a catastrophe and a defence, if it was tried.
    package func cell(_ catastrophe: String, _ defence: String) -> LabCell? {
      cells.first { $0.catastrophe == catastrophe && $0.defence == defence }
    }
  }

  package var device: Device
  package var scale: StudyScale
  package var seed: UInt64
  package var catastrophes = Catastrophe.all
  package var defences = Defence.all

  package init(device: Device, scale: StudyScale = .full, seed: UInt64 = 7) {
    self.device = device
    self.scale = scale
    self.seed = seed
  }

  /// Keeps only the catastrophes and defences of these names; an empty list keeps all.
  ///
  /// - Returns: the first name that is unknown with the names there are, or nil.
  package mutating func keepOnly(
    catastrophes chosen: [String], defences wanted: [String]
  ) -> String? {
    for name in chosen where !Catastrophe.all.contains(where: { $0.name == name }) {
      return "no catastrophe is called '\(name)'; there are "
        + Catastrophe.all.map(\.name).joined(separator: ", ")
    }
    for name in wanted where !Defence.all.contains(where: { $0.name == name }) {
      return "no defence is called '\(name)'; there are "
        + Defence.all.map(\.name).joined(separator: ", ")
    }
    if !chosen.isEmpty { catastrophes = Catastrophe.all.filter { chosen.contains($0.name) } }
    if !wanted.isEmpty { defences = Defence.all.filter { wanted.contains($0.name) } }
    return nil
  }

  /// Trains every pair. A quick cell is computed as the full one: the quick form only tries fewer
  /// defences on the deep catastrophes.
  ///
  /// - Parameter progress: is told each cell.
  package func run(
    progress: (LabCell) -> Void = { _ in }
  ) throws(TensorError) -> Result {
    let start = ContinuousClock.now
    var (cells, claims): ([LabCell], [LabClaim]) = ([], [])
    for catastrophe in catastrophes {
      for defence in defences {
        if scale == .quick, catastrophe.isDeep, !defence.isInQuickForm { continue }
        let (cell, found) = try tryOut(catastrophe, defence)
        cells.append(cell)
        claims += found
        progress(cell)
      }
    }
    let time = start.duration(to: .now).components
    return Result(
      device: "\(device)", selector: device.info.selector, seed: seed, scale: scale,
      catastrophes: catastrophes, defences: defences, cells: cells, claims: claims,
      seconds: Double(time.seconds) + Double(time.attoseconds) * 1e-18)
  }

  private func tryOut(
    _ catastrophe: Catastrophe, _ defence: Defence
  ) throws(TensorError) -> (LabCell, [LabClaim]) {
    var cell = LabCell(
      catastrophe: catastrophe.name, defence: defence.name, verdict: .notApplicable)
    if let obstacle = defence.obstacle(to: catastrophe) {
      cell.reason = obstacle
      return (cell, [])
    }
    let run: LabRun
    do {
      run = try LabRun(catastrophe, defence, LabSetting(device: device, seed: seed))
    } catch .shape(let refusal) {
      // Such as a variance that is not finite before the first step.
      cell.reason = "refused: \(refusal)"
      return (cell, [])
    }
    return (try run.run(), run.claims)
  }
}
