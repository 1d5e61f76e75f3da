import ArgumentParser
import FoundationEssentials
import Keel

/// `keel lint`: what is wrong with a training, before it begins.
struct LintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint",
    abstract: "Says what is wrong with a training, and how to mend it, without training.",
    discussion: """
      Takes the options of `keel train`, runs one pass on a few examples, and prints one line for \
      each finding. Exit code 1 if there are errors, or warnings with --strict.
      """)

  @OptionGroup var training: TrainCommand

  @Flag(help: "Prints a JSON array in place of lines.")
  var json = false

  func run() throws {
    let job =
      try training.resume.map { try TrainingJob(resuming: $0, training, quietly: true) }
      ?? TrainingJob(training, quietly: true)
    var found = job.trainer.lint(
      train: job.train, test: job.test, augmentation: job.augmentation, batchSize: job.batch)
    if training.lint.policy == .errors { found = found.errors }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(found), as: UTF8.self))
    } else {
      for diagnostic in found { print(diagnostic) }
      print("\(found.errors.count) errors, \(found.warnings.count) warnings")
    }
    let fails = training.lint.policy == .strict ? !found.isEmpty : !found.errors.isEmpty
    if fails { throw ExitStatus(code: 1) }
  }
}

/// The options that say what becomes of warnings.
struct LintOptions: ParsableArguments {
  @Flag(help: "Leaves out the warnings about what may not be meant.")
  var noLint = false

  @Flag(help: "Takes warnings for errors: the training does not begin.")
  var strict = false

  func validate() throws {
    guard !(noLint && strict) else {
      throw ValidationError("--strict takes warnings for errors, --no-lint leaves them out.")
    }
  }

  /// What is done about warnings.
  var policy: LintPolicy { strict ? .strict : noLint ? .errors : .report }
}

/// Prints warnings to standard error, one line each.
final class WarningPrinter: Callback {
  func warned(_ warnings: [Diagnostic]) {
    for warning in warnings { KeelCommand.complain("\(warning)") }
  }
}
