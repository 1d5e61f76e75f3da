/// Something about a training that is wrong, or nearly always wrong, and what to do about it.
public struct Diagnostic: Hashable, Sendable, Codable {
  /// How bad it is.
  public enum Severity: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    /// The training runs, but hardly does what was meant.
    case warning
    /// The training fails, or cannot learn.
    case error

    /// A warning is less than an error.
    public static func < (left: Severity, right: Severity) -> Bool {
      left == .warning && right == .error
    }
  }

  /// How bad it is.
  public var severity: Severity
  /// The name of the rule, such as `one-unit-softmax`; names stay as they are.
  public var rule: String
  /// The path of a layer or parameter, or the name of an option.
  public var place: String
  /// What is wrong.
  public var message: String
  /// What to do instead.
  public var fixIt: String

  /// A diagnostic of a rule.
  public init(
    _ severity: Severity, rule: String, place: String, message: String, fixIt: String
  ) {
    self.severity = severity
    self.rule = rule
    self.place = place
    self.message = message
    self.fixIt = fixIt
  }
}

extension Diagnostic: CustomStringConvertible {
  /// One line, such as `warning: dense1: … [dense-without-flatten]; …`.
  public var description: String { "\(severity.rawValue): \(sentence)" }

  /// The same without the severity.
  public var sentence: String { "\(place): \(message) [\(rule)]; \(fixIt)" }
}

extension [Diagnostic] {
  /// Those that no training should begin with.
  public var errors: [Diagnostic] { filter { $0.severity == .error } }
  /// The others.
  public var warnings: [Diagnostic] { filter { $0.severity == .warning } }
}
