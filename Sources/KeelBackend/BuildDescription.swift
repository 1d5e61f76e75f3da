/// The program that computed something: what a result is compared with later on.
public struct BuildDescription: Hashable, Sendable, Codable {
  /// The version of Keel.
  public var keel: String
  /// The version of the Swift compiler that built it, as far as it can be told apart.
  public var swift: String

  /// This program.
  public static let current = BuildDescription(keel: "0.1.0", swift: compiler)

  // A compiler does not tell its version as text.
  #if compiler(>=6.5)
  private static let compiler = "6.5 or later"
  #elseif compiler(>=6.4)
  private static let compiler = "6.4"
  #elseif compiler(>=6.3)
  private static let compiler = "6.3"
  #else
  private static let compiler = "6.2"
  #endif
}
