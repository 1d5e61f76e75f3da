internal import FoundationEssentials
package import KeelBackend

/// What `keel tune` found out, for any number of devices: the contents of a tuning file.
package struct TuningDatabase: Hashable, Sendable {
  /// The name of this form of file.
  private static let form = "keel-tuning-1"

  /// Whose choice it is: an entry is used only where all of it agrees.
  package struct Key: Hashable, Sendable, Codable, Comparable {
    package var vendor: String
    package var device: String
    package var driver: String
    /// Of the texts of the kernels, so that changed kernels are tuned again.
    package var source: String
    package var operation: String
    /// ``ShapeClass`` as text.
    package var shapeClass: String

    package static func < (left: Key, right: Key) -> Bool {
      left.parts.lexicographicallyPrecedes(right.parts)
    }
    private var parts: [String] { [vendor, device, driver, operation, shapeClass, source] }
  }

  /// A choice and what it was made from.
  package struct Entry: Hashable, Sendable, Codable {
    package var key: Key
    /// The shape that stood for its class.
    package var subject: TuningSubject
    /// Nil where the planning function's choice stays.
    package var choice: PlanParameters?
    /// Nanoseconds of the choice and of the planning function's, measured in turn.
    package var nanoseconds: Double
    package var defaultNanoseconds: Double
    /// The median distance from the median, relative to it.
    package var spread: Double
    package var samples: Int
    /// When, as `2026-11-21T16:20:00Z`.
    package var date: String
    /// The version of Keel.
    package var keel: String

    package init(
      key: Key, subject: TuningSubject, choice: PlanParameters?, nanoseconds: Double,
      defaultNanoseconds: Double, spread: Double, samples: Int, date: String, keel: String
    ) {
      self.key = key
      self.subject = subject
      self.choice = choice
      self.nanoseconds = nanoseconds
      self.defaultNanoseconds = defaultNanoseconds
      self.spread = spread
      self.samples = samples
      self.date = date
      self.keel = keel
    }

    /// Whether it is to replace another of the same key: the newer one, of equally old ones the
    /// one that gained more, and otherwise the first by its text, so that the order of files does
    /// not matter.
    func replaces(_ other: Entry) -> Bool {
      if date != other.date { return date > other.date }
      let (gain, otherGain) = (
        nanoseconds / defaultNanoseconds, other.nanoseconds / other.defaultNanoseconds
      )
      if gain != otherGain { return gain < otherGain }
      return "\(self)" < "\(other)"
    }
  }

  package private(set) var entries: [Key: Entry] = [:]
  /// Entries of a file that this program cannot read: of operations or forms it does not know.
  package private(set) var unknown = 0

  package init() {}

  /// Adds entries; of two for one key the newer or better one stays.
  package mutating func merge(_ other: TuningDatabase) {
    for entry in other.entries.values { insert(entry) }
    unknown += other.unknown
  }

  package mutating func insert(_ entry: Entry) {
    if let old = entries[entry.key], !entry.replaces(old) { return }
    entries[entry.key] = entry
  }

  /// In the order in which they are written.
  package var sorted: [Entry] { entries.values.sorted { $0.key < $1.key } }
}

// Files.
extension TuningDatabase {
  /// Why a file is none: the rest of a sentence that begins with its path.
  package struct Problem: Error, Hashable, CustomStringConvertible {
    package let description: String
  }

  private struct Form: Decodable {
    var form: String
  }

  private struct Contents: Decodable {
    var entries: [Readable]
  }

  /// An entry, or nil where it cannot be read.
  private struct Readable: Decodable {
    var entry: Entry?
    init(from decoder: any Decoder) throws { entry = try? Entry(from: decoder) }
  }

  private struct Written: Encodable {
    var form: String
    var entries: [Entry]
  }

  /// The contents of a file.
  package init(_ bytes: [UInt8]) throws(Problem) {
    let data = Data(bytes)
    guard let form = try? JSONDecoder().decode(Form.self, from: data) else {
      throw Problem(description: "is no tuning file: it is damaged, or something else")
    }
    guard form.form == Self.form else {
      throw Problem(
        description: "is a tuning file of another form ('\(form.form)', expected '\(Self.form)')")
    }
    guard let contents = try? JSONDecoder().decode(Contents.self, from: data) else {
      throw Problem(description: "is a damaged tuning file: it has no list of entries")
    }
    for readable in contents.entries {
      if let entry = readable.entry, entry.isSensible { insert(entry) } else { unknown += 1 }
    }
  }

  /// The file: the same bytes for the same entries.
  package func encoded() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let written = Written(form: Self.form, entries: sorted)
    return [UInt8](try encoder.encode(written)) + [UInt8(ascii: "\n")]
  }
}

extension TuningDatabase.Entry {
  /// Whether the numbers can be what somebody measured.
  fileprivate var isSensible: Bool {
    nanoseconds >= 0 && defaultNanoseconds >= 0 && nanoseconds.isFinite
      && defaultNanoseconds.isFinite
  }
}

extension TuningDatabase.Key {
  package init(_ subject: TuningSubject, on device: DeviceDescription, isCPUClass: Bool) {
    self.init(
      vendor: device.vendor, device: device.name, driver: device.driver,
      source: KernelSource.fingerprint(of: subject.programs),
      operation: subject.operation.rawValue,
      shapeClass: subject.shapeClass(isCPUClass: isCPUClass).description)
  }
}

extension KernelSource {
  /// One name for the texts of several programs.
  static func fingerprint(of programs: [String]) -> String {
    var sum = Fingerprint()
    for name in programs {
      sum.add(name)
      sum.add(embedded[name]?.text ?? "")
    }
    return sum.text
  }
}
