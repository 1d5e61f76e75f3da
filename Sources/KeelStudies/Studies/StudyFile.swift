import FoundationEssentials

extension StudyResult {
  /// The file: the same bytes for the same result.
  package var json: [UInt8] {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      return JSONLayout(Array(try encoder.encode(self))).text + [UInt8(ascii: "\n")]
    }
  }

  /// Reads a file.
  package init(json: [UInt8]) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    self = try decoder.decode(StudyResult.self, from: Data(json))
  }

  /// The same without what is only plotted: tables, measurements and findings stay.
  package var withoutCurves: StudyResult {
    var result = self
    for place in result.variants.indices {
      result.variants[place].curve = []
      result.variants[place].trace = .empty
    }
    for place in result.sections.indices { result.sections[place].charts = [] }
    return result
  }
}

/// JSON in lines: what holds other lists or objects has a line for each of its parts, a list of
/// numbers and a small object are one line.
struct JSONLayout {
  private(set) var text: [UInt8] = []
  private let bytes: [UInt8]

  /// - Parameter bytes: JSON without white space between its parts.
  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    text.reserveCapacity(bytes.count * 5 / 4)
    var (place, depth) = (0, 0)
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "\""): copy(through: end(ofString: place), &place)
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if let end = end(ofFlat: place) {
          copy(through: end, &place)
        } else {
          depth += 1
          copy(through: place, &place)
          newLine(depth)
        }
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        newLine(depth)
        copy(through: place, &place)
      case UInt8(ascii: ","):
        copy(through: place, &place)
        newLine(depth)
      default: copy(through: place, &place)
      }
    }
  }

  private mutating func copy(through end: Int, _ place: inout Int) {
    text += bytes[place...end]
    place = end + 1
  }

  private mutating func newLine(_ depth: Int) {
    text.append(UInt8(ascii: "\n"))
    text += [UInt8](repeating: UInt8(ascii: " "), count: depth)
  }

  /// The quote that ends the string that begins at a place.
  private func end(ofString start: Int) -> Int {
    var place = start + 1
    while bytes[place] != UInt8(ascii: "\"") {
      place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    return place
  }

  /// Where the list or object that begins at a place ends, if nothing in it holds others.
  private func end(ofFlat start: Int) -> Int? {
    var place = start + 1
    while true {
      switch bytes[place] {
      case UInt8(ascii: "\""): place = end(ofString: place)
      case UInt8(ascii: "{"), UInt8(ascii: "["): return nil
      case UInt8(ascii: "}"), UInt8(ascii: "]"): return place
      default: break
      }
      place += 1
    }
  }
}
