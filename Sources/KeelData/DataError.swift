/// What was wrong with data, where, and what to do about it, as one sentence.
public struct DataError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The family of the fault, for code that reacts to it.
  public enum Kind: String, Equatable, Sendable {
    /// A file or folder does not exist.
    case missing
    /// The operating system refused to read or write.
    case inaccessible
    /// The content is not what the format requires.
    case malformed
    /// Two things that belong together differ, such as the counts of images and labels.
    case mismatch
    /// There is nothing in it.
    case empty
    /// A number lies outside its range, such as a label or a batch size.
    case outOfRange
    /// A file is larger than the reader's limit.
    case tooLarge
    /// A download failed.
    case network
    /// The content does not have the expected SHA-256 sum.
    case checksum
    /// The user stopped it.
    case cancelled
    /// A library that this needs is not installed.
    case unavailable
  }

  /// The family of the fault.
  public let kind: Kind
  /// What was wrong.
  public let problem: String
  /// The file or address, if there is one.
  public let path: String?
  /// The byte of the file at which the fault lies, if it lies at one.
  public let offset: Int?
  /// What to do.
  public let remedy: String?

  /// Describes a fault.
  public init(
    _ kind: Kind, _ problem: String, path: String? = nil, offset: Int? = nil, remedy: String? = nil
  ) {
    self.kind = kind
    self.problem = problem
    self.path = path
    self.offset = offset
    self.remedy = remedy
  }

  /// One sentence: place, problem, remedy.
  public var description: String {
    var text = path ?? ""
    if let offset { text += text.isEmpty ? "byte \(offset)" : ", byte \(offset)" }
    text += text.isEmpty ? problem : ": \(problem)"
    if let remedy { text += "; \(remedy)" }
    return text
  }
}
