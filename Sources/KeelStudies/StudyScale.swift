/// How much a study or the lab computes.
public enum StudyScale: String, Sendable, Codable, CaseIterable {
  /// Everything, as the documentation shows it.
  case full
  /// Under a minute, to see that the same verdicts come out.
  case quick
}
