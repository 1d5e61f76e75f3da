import Glibc
import KeelBackend

/// Shows a training: a bar in a terminal, else a few plain lines per epoch.
public final class ProgressBar: Callback {
  private let write: (String) -> Void
  private let isTerminal: Bool
  private let width: Int
  private let columns: Int
  private var barLength = 0
  private var plan: FitPlan?
  private var lastLine = ContinuousClock.now

  /// A bar on the standard error output.
  public convenience init() {
    var size = winsize()
    let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    self.init(
      isTerminal: isatty(STDERR_FILENO) == 1, columns: isKnown ? Int(size.ws_col) : .max
    ) { text in
      // What was printed before comes first, also where both outputs go to one file.
      fflush(nil)
      _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
  }

  /// A bar that writes through a function, in lines shorter than `columns`.
  public init(
    isTerminal: Bool, width: Int = 24, columns: Int = .max, write: @escaping (String) -> Void
  ) {
    self.isTerminal = isTerminal
    self.width = width
    self.columns = columns
    self.write = write
  }

  /// Remembers the plan.
  public func trainingBegan(_ plan: FitPlan) {
    self.plan = plan
    lastLine = .now
  }

  /// Draws the bar; without a terminal a line, at most every ten seconds.
  public func progressed(_ progress: TrainingProgress) {
    var text = line(progress, width)
    if isTerminal {
      // A line that wraps cannot be drawn over: the bar gives way first, then the end.
      if text.count >= columns {
        text = line(progress, max(4, width - (text.count - columns) - 1))
        text = String(text.prefix(max(1, columns - 1)))
      }
      write("\r" + text + padding(text))
      barLength = text.count
    } else if lastLine.duration(to: .now) > .seconds(10),
      progress.batch < progress.batchesPerEpoch
    {
      lastLine = .now
      write(text + "\n")
    }
  }

  /// Replaces the bar by the epoch's line.
  public func epochEnded(_ epoch: EpochRecord) {
    var text = "epoch \(epoch.epoch)/\(plan?.lastEpoch ?? epoch.epoch)"
    text += "  \(clock(epoch.seconds))  loss \(number(epoch.loss))"
    if let accuracy = epoch.accuracy { text += "  accuracy \(percent(accuracy))" }
    text += "  |g| \(epoch.gradientNorm.compact())"
    if epoch.clippedFraction > 0 { text += " (\(percent(epoch.clippedFraction)) clipped)" }
    if epoch.skippedSteps > 0 { text += "  \(epoch.skippedSteps) steps left out" }
    if let loss = epoch.validationLoss { text += "  validation loss \(number(loss))" }
    if let accuracy = epoch.validationAccuracy { text += "  accuracy \(percent(accuracy))" }
    write((isTerminal ? "\r" : "") + text + padding(text) + "\n")
    barLength = 0
    lastLine = .now
  }

  /// Ends a bar that stands.
  public func trainingEnded(_ result: FitResult) {
    if isTerminal, barLength > 0 { write("\n") }
    barLength = 0
  }

  private func line(_ progress: TrainingProgress, _ width: Int) -> String {
    let done = Double(progress.batch) / Double(max(progress.batchesPerEpoch, 1))
    var text = "epoch \(progress.epoch)/\(progress.lastEpoch) "
    if isTerminal {
      let full = min(width, Int(done * Double(width)))
      let head = full < width ? ">" : ""
      text += "[" + String(repeating: "=", count: full) + head
      text += String(repeating: " ", count: width - full - head.count) + "] "
    } else {
      text += percent(done) + " "
    }
    text += " loss \(number(progress.loss))"
    if let accuracy = progress.accuracy { text += "  accuracy \(percent(accuracy))" }
    text += "  |g| \(progress.gradientNorm.compact())"
    text += "  \(progress.examplesPerSecond.fixed(0)) images/s"
    return text + "  \(clock(progress.secondsLeft)) left"
  }

  /// Blanks over what is left of a longer bar.
  private func padding(_ text: String) -> String {
    String(repeating: " ", count: isTerminal ? max(0, barLength - text.count) : 0)
  }

  /// Four decimals, or few digits and an exponent where a training explodes.
  private func number(_ loss: Double) -> String {
    loss.magnitude < 1e5 ? loss.fixed(4) : loss.compact()
  }

  private func percent(_ part: Double) -> String { (100 * part).fixed(2) + " %" }
}
