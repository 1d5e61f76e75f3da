import ArgumentParser
import Glibc
import Keel
import Logging

/// The command `keel`.
@main
struct KeelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keel",
    abstract: "Trains neural networks on any OpenCL device or the CPU, and keeps training upright.",
    discussion: """
      Devices: cpu, opencl, opencl:INDEX, opencl:PLATFORM.DEVICE, part of a device's name, or auto.
      The environment variable KEEL_DEVICE sets the default, KEEL_LOG the log level
      (trace, debug, info, notice, warning, error), KEEL_CACHE the folder of compiled kernels,
      KEEL_TUNING the file that 'keel tune' writes.
      Exit codes: 0 success, 1 a check failed, 2 bad usage or input, 3 a device failed,
      130 stopped by Ctrl-C.
      """,
    version: "keel \(BuildDescription.current.keel)",
    subcommands: [
      DevicesCommand.self, TrainCommand.self, EvaluateCommand.self, PredictCommand.self,
      ParityCommand.self, BenchCommand.self, OpsCommand.self, DoctorCommand.self,
      DataCommand.self, LintCommand.self, ReportCommand.self, StudyCommand.self,
      ProbeCommand.self, LabCommand.self, TuneCommand.self,
    ]
  )

  /// Parses, runs, and turns any error into one sentence and an exit code.
  static func main() {
    bootstrapLogging()
    // Nobody reads on, as after `keel ops | head -1`: no reason for a signal's exit code.
    signal(SIGPIPE, SIG_IGN)
    do {
      try requireKnownCommand(CommandLine.arguments.dropFirst().first)
      var command = try parseAsRoot()
      try command.run()
      Device.saveCompiledKernels()
    } catch let exit as ExitStatus {
      if let message = exit.message { complain(message) }
      Glibc.exit(exit.code)
    } catch {
      // Help and version requests are "errors" of the parser that succeed.
      if exitCode(for: error) == .success { self.exit(withError: error) }
      let (text, code) = KeelCommand.sentence(for: error)
      complain(text)
      Glibc.exit(code)
    }
  }

  /// Throws where the first word is no command, and names those that it may have meant.
  private static func requireKnownCommand(_ word: String?) throws {
    let names = configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
    guard let word, !word.hasPrefix("-"), !names.contains(word) else { return }
    // The same letters in another order, or the same beginning.
    let near = names.filter { $0.sorted() == word.sorted() || $0.hasPrefix(word.prefix(3)) }
    throw ExitStatus.badInput(
      "there is no command '\(word)'; "
        + (near.isEmpty
          ? "there are: \(names.joined(separator: ", "))"
          : "did you mean \(near.joined(separator: " or "))?"))
  }

  /// What to print for an error, and the exit code that goes with its kind.
  static func sentence(for error: any Error) -> (text: String, code: Int32) {
    switch error {
    case let error as DeviceError: return ("error: \(error)", 3)
    case let error as TensorError:
      if case .device = error { return ("error: \(error)", 3) }
      return ("error: \(error)", 2)
    case let error as TrainingError: return ("error: \(error)", error.isDeviceFailure ? 3 : 2)
    case let error as DataError: return ("error: \(error)", 2)
    default: return (usageSentence(for: error), 2)
    }
  }

  /// The parser's complaint in one sentence, and where the usage is explained.
  private static func usageSentence(for error: any Error) -> String {
    let lines = fullMessage(for: error).split(separator: "\n")
    let hint = lines.last { $0.contains("--help' for more") }
    return "error: \(message(for: error))" + (hint.map { "\n" + $0.drop { $0 == " " } } ?? "")
  }

  /// Prints one message to standard error.
  static func complain(_ text: String) {
    Terminal.write(text + "\n")
  }

  /// Sends logs to standard error at the level that KEEL_LOG names; warnings by default.
  private static func bootstrapLogging() {
    let text = getenv("KEEL_LOG").map { String(cString: $0) } ?? "warning"
    let level = Logger.Level(rawValue: text.lowercased())
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level ?? .warning
      return handler
    }
    if level == nil {
      complain(
        "warning: KEEL_LOG is '\(text)'; expected trace, debug, info, notice, warning or error")
    }
  }
}

/// A wish to end with a code, after everything has been printed but perhaps one message.
struct ExitStatus: Error {
  let code: Int32
  var message: String?

  /// The end for input that cannot be used.
  static func badInput(_ sentence: String) -> ExitStatus {
    ExitStatus(code: 2, message: "error: \(sentence)")
  }
}
