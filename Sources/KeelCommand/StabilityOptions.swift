import ArgumentParser
import Keel

/// The options that keep the steps of a training upright.
struct StabilityOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "Clips the norm of all gradients together to this limit.")
  var clipGlobalNorm: Float?

  @Option(
    help: ArgumentHelp(
      """
      Limits gradients; may be given several times, for stages one after the other: \
      global-norm:LIMIT, per-tensor-norm:LIMIT, global-max-abs:LIMIT, elementwise:LIMIT, \
      unitwise[:RATIO:FLOOR], autoclip[:PERCENTILE:WINDOW], zclip[:ALPHA:THRESHOLD:WARM-UP], \
      adagc[:RELATIVE:BETA:WARM-UP:LIMIT], per-example:LIMIT.
      """, valueName: "stage"))
  var clip: [String] = []

  @Option(
    help: """
      What is done about gradients that are not finite: skip (leave out the step), raise (stop), \
      zero, clip-finite (replace the values), rewind (go back and leave the batch out).
      """)
  var onFault: String?

  @Option(
    help: ArgumentHelp(
      """
      How --on-fault rewind goes back, and turns it on: every=STEPS between copies, \
      spike=DEVIATIONS of log |g| (or off), shrink=FACTOR of the learning rate in place of leaving \
      the batch out, at-most=TIMES. Usual: every=32,spike=12,at-most=10.
      """, valueName: "plan"))
  var rewind: String?

  @Option(
    parsing: .unconditional, help: "Steps in a row that may be left out. Default: 10.")
  var maximumSkips: Int?

  @Option(
    help: ArgumentHelp(
      "How the learning rate moves, such as cosine:1000 or warmup:100,cosine:1000.",
      valueName: "form"))
  var schedule: String?

  @Option(
    help: ArgumentHelp(
      "Lowers the learning rate when the validation loss stops falling: plateau:PATIENCE[,FACTOR].",
      valueName: "form"))
  var plateau: String?

  @Option(parsing: .unconditional, help: "Strength of an L1 penalty (sub-gradient).")
  var l1: Float?

  @Option(parsing: .unconditional, help: "Strength of an L1 penalty whose steps reach exact zeros.")
  var l1Proximal: Float?

  @Option(parsing: .unconditional, help: "Strength of an L2 penalty of the loss, before clipping.")
  var l2: Float?

  @Option(
    parsing: .unconditional, help: "Strength of the penalty on weights that are not orthogonal.")
  var orthogonal: Float?

  @Option(parsing: .unconditional, help: "The largest norm of a unit's incoming weights.")
  var maxNorm: Float?

  @Flag(help: "Keeps the norm of each unit's incoming weights at 1.")
  var unitNorm = false

  @Option(parsing: .unconditional, help: "The largest singular value of each weight.")
  var spectralNorm: Float?

  @Option(
    parsing: .unconditional,
    help: "Amplitude of uniform noise on the gradients, annealed as (1 + t)^-0.55 (UPSGD).")
  var noise: Float?

  @Option(help: "Updates one parameter per step, cyclic or random (coordinate descent).")
  var coordinates: String?

  func validate() throws {
    if let limit = clipGlobalNorm, !(limit.isFinite && limit > 0) {
      throw ValidationError(
        "--clip-global-norm must be finite and above 0, got \(limit); leave it out to clip nothing."
      )
    }
    try requireUsableNumbers()
    do {
      _ = try chosen
      _ = try chosenSchedule
      _ = try chosenPlateau
    } catch let error as ValidationError {
      throw error
    } catch { throw ValidationError("\(error)") }
  }

  /// Throws for a number that no step can use, by the name of its option.
  private func requireUsableNumbers() throws {
    let positive = [
      ("--l1", l1), ("--l1-proximal", l1Proximal), ("--l2", l2), ("--orthogonal", orthogonal),
      ("--max-norm", maxNorm), ("--spectral-norm", spectralNorm),
    ]
    for case (let name, let value?) in positive where !(value.isFinite && value > 0) {
      throw ValidationError(
        "\(name) must be finite and above 0, got \(value); leave it out to turn it off.")
    }
    if let noise, !(noise.isFinite && noise >= 0) {
      throw ValidationError("--noise must be finite and at least 0, got \(noise).")
    }
    if let maximumSkips, !(0...1 << 20).contains(maximumSkips) {
      throw ValidationError("--maximum-skips must be from 0 to 1048576, got \(maximumSkips).")
    }
  }

  /// What is done about faults.
  private var chosenPolicy: FaultPolicy {
    get throws {
      let name = onFault ?? (rewind == nil ? FaultPolicy.skipStep : .rewind).rawValue
      guard let policy = FaultPolicy(rawValue: name) else {
        throw ValidationError(
          "There is no policy '\(name)'; there are: "
            + FaultPolicy.allCases.map(\.rawValue).joined(separator: ", ") + ".")
      }
      guard rewind == nil || policy == .rewind else {
        throw ValidationError(
          "--rewind says how to go back, which --on-fault \(name) never does: leave out one of "
            + "them.")
      }
      guard maximumSkips == nil || (policy != .raise && policy != .rewind) else {
        throw ValidationError(
          "--maximum-skips bounds steps that are left out; with --on-fault \(policy.rawValue) none "
            + "is.")
      }
      return policy
    }
  }

  /// How the learning rate moves.
  var chosenSchedule: Schedule {
    get throws { try schedule.map { try Schedule(parsing: $0) } ?? .constant }
  }

  /// What lowers the learning rate.
  var chosenPlateau: PlateauReducer? {
    get throws { try plateau.map { try PlateauReducer(parsing: $0) } }
  }

  /// The options of the step.
  var chosen: Stability {
    get throws {
      let policy = try chosenPolicy
      var stages = try clip.map { try ClipStage(parsing: $0) }
      if let limit = clipGlobalNorm { stages.append(.globalNorm(limit)) }
      let order = try coordinates.map { name in
        guard let order = CoordinateOrder(rawValue: name) else {
          throw ValidationError("--coordinates is cyclic or random, got '\(name)'.")
        }
        return order
      }
      let penalties: [Penalty?] = [
        l1.map { .l1($0) }, l1Proximal.map { .l1Proximal($0) }, l2.map { .l2($0) },
        orthogonal.map { .orthogonal($0) },
      ]
      let constraints: [Constraint?] = [
        maxNorm.map { .maximumNorm($0) }, unitNorm ? .unitNorm : nil,
        spectralNorm.map { .spectralNorm($0) },
      ]
      return Stability(
        clip: ClipChain(stages), onFault: policy, maximumSkips: maximumSkips ?? 10,
        rewind: try rewind.map { try RewindPlan(parsing: $0) } ?? RewindPlan(),
        penalties: penalties.compactMap { $0 }, constraints: constraints.compactMap { $0 },
        noise: noise.map { .uniform(amplitude: $0) }, coordinates: order)
    }
  }
}
