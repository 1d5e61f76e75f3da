/// Which launches a shadow looks at: of each method the first, and then one in each `every`, at a
/// place in it that Philox draws.
///
/// Counting by method makes sure that rare operations are looked at too; drawing the place makes
/// sure that not always the same layer is met. The choice depends on the sequence of launches
/// alone, so a run that is repeated is looked at in the same places. A method that is always wrong
/// is found at its first launch; one that goes wrong later, within 2 * every - 1 of its launches.
struct ShadowSchedule: Sendable {
  private let every: UInt64
  private let seed: UInt64
  private var methods: [Name: Method] = [:]

  private struct Method {
    var launches: UInt64 = 0
    /// The launch to look at next.
    var next: UInt64 = 0

    /// Counts a launch; its number if it is the one to look at.
    mutating func count() -> UInt64? {
      defer { launches += 1 }
      return launches == next ? launches : nil
    }
  }

  /// The name of a method, hashed by its length alone: this happens at every launch, and few names
  /// are of one length.
  private struct Name: Hashable {
    let text: String
    func hash(into hasher: inout Hasher) { hasher.combine(text.utf8.count) }
  }

  init(every: Int, seed: UInt64) {
    precondition(every >= 1)
    self.every = UInt64(every)
    self.seed = seed
  }

  /// Counts a launch and says whether it is to be looked at.
  mutating func isDue(_ name: String) -> Bool {
    let launch = methods[Name(text: name), default: Method()].count()
    guard let launch else { return false }
    let window = launch / every + 1
    let key = RandomKey(seed: seed, .shadow, index: Self.stream(name), step: window)
    methods[Name(text: name)]?.next = window * every + UInt64(key.words(block: 0)[0]) % every
    return true
  }

  /// A number of the name that does not change from run to run (FNV-1a, 1991).
  private static func stream(_ name: String) -> Int {
    var hash: UInt32 = 2_166_136_261
    for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return Int(hash & 0xFF_FFFF)
  }
}
