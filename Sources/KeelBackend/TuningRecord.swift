/// Which kernels a device runs otherwise than its planning functions would choose, since
/// `keel tune` measured them.
///
/// A tuned choice adds in another order, so results are equal to the bit only for the same device
/// and the same tuning.
public struct TuningRecord: Hashable, Sendable, Codable {
  /// A name for all choices that hold for the device: equal for equal choices.
  public var fingerprint: String
  /// Those that were used so far, as sentences, in alphabetical order.
  public var choices: [String]

  /// A record of what was used.
  public init(fingerprint: String, choices: [String]) {
    self.fingerprint = fingerprint
    self.choices = choices
  }
}
