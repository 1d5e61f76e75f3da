public import KeelBackend
public import KeelData
public import KeelStability

/// Why a training stopped or did not start, as one sentence.
public enum TrainingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Operands or options that do not fit, or a failure of the device.
  case tensor(TensorError)
  /// Something about the data, or a file.
  case data(DataError)
  /// An option that is not usable.
  case option(name: String, requirement: String, got: String)
  /// The loss or the gradient stopped being a number. Nothing of it was saved.
  case nonFinite(NonFinite)
  /// A training that cannot go well, and why; see ``Lint``.
  case lint([Diagnostic])
  /// A file of a run that cannot be used.
  case checkpoint(path: String, problem: String)
  /// A folder that cannot be used for a run.
  case folder(path: String, problem: String)

  /// Where a training left the finite numbers.
  public struct NonFinite: Hashable, Sendable {
    /// The update, from 1.
    public var step: UInt64
    /// The epoch, from 1.
    public var epoch: Int
    /// What was not finite, such as `the loss is nan`.
    public var what: String

    /// Which operation made the first value that is not finite, if it is known.
    public var cause: FirstCause?

    /// Names a step and what happened there.
    public init(step: UInt64, epoch: Int, what: String, cause: FirstCause? = nil) {
      self.step = step
      self.epoch = epoch
      self.what = what
      self.cause = cause
    }
  }

  /// One sentence: what was wrong, where, and what to do.
  public var description: String {
    switch self {
    case .tensor(let error): error.description
    case .data(let error): error.description
    case .option(let name, let requirement, let got):
      "\(name): requires \(requirement), got \(got)"
    case .nonFinite(let place):
      "training stopped at step \(place.step) (epoch \(place.epoch)): \(place.what); "
        + "lower the learning rate or clip the gradient norm"
        + (place.cause.map { "\n\($0)" } ?? "")
    case .lint(let found): found.map(\.sentence).joined(separator: "\n")
    case .checkpoint(let path, let problem): "\(path): \(problem)"
    case .folder(let path, let problem): "\(path): \(problem)"
    }
  }

  /// Whether the loss or the gradient stopped being a number.
  var isNonFinite: Bool { if case .nonFinite = self { true } else { false } }

  /// Whether the device failed, rather than what it was given.
  public var isDeviceFailure: Bool {
    if case .tensor(.device) = self { true } else { false }
  }
}

/// Runs tensor work and turns its error into a ``TrainingError``.
func training<Result>(
  _ body: () throws(TensorError) -> Result
) throws(TrainingError) -> Result {
  do { return try body() } catch { throw .tensor(error) }
}

/// Runs device work and turns its error into a ``TrainingError``.
func trainingDevice<Result>(
  _ body: () throws(DeviceError) -> Result
) throws(TrainingError) -> Result {
  do { return try body() } catch { throw .tensor(.device(error)) }
}

/// Runs data work and turns its error into a ``TrainingError``.
func trainingData<Result>(
  _ body: () throws(DataError) -> Result
) throws(TrainingError) -> Result {
  do { return try body() } catch { throw .data(error) }
}
