/// An array of bytes in the IDX format of the MNIST database.
///
/// The file is: two zero bytes, a byte for the element type, a byte for the count of axes, the
/// extents as big-endian 32-bit numbers, then the elements, row-major. Only unsigned bytes (type
/// 08) hold images and labels. Source: LeCun, Cortes, Burges, "The MNIST database", 1998.
package struct IDXArray: Equatable, Sendable {
  /// The extent of each axis, at least 1 each.
  package let extents: [Int]
  /// The elements, as many as the product of the extents.
  package let bytes: [UInt8]

  /// An array of known content.
  package init(extents: [Int], bytes: [UInt8]) {
    precondition(checkedProduct(extents) == bytes.count)
    self.extents = extents
    self.bytes = bytes
  }

  /// Reads a file, plain or gzip (told apart by content, not by name).
  ///
  /// - Throws: ``DataError`` for anything but a whole IDX file of unsigned bytes.
  package init(file path: String) throws(DataError) {
    try self.init(parsing: try DataFile.read(path), path: path)
  }

  /// Reads the content of a file. Nothing is allocated for extents that the content cannot hold.
  package init(parsing content: [UInt8], path: String) throws(DataError) {
    if Gunzip.recognizes(content) {
      let gunzip = try Gunzip(content, path: path)
      let start = try gunzip.read(4)
      let axes = try Self.axisCount(start, path: path)
      let (extents, count) = try Self.extents(try gunzip.read(4 * axes), axes: axes, path: path)
      guard count / Gunzip.largestRatio <= content.count else {
        throw Self.tooShort(count, content.count * Gunzip.largestRatio, extents, path)
      }
      let bytes = try gunzip.read(count)
      guard bytes.count == count else {
        throw Self.tooShort(count, bytes.count, extents, path)
      }
      try gunzip.finish()
      self.init(extents: extents, bytes: bytes)
    } else {
      let axes = try Self.axisCount(Array(content.prefix(4)), path: path)
      let header = 4 + 4 * axes
      let (extents, count) = try Self.extents(
        Array(content.dropFirst(4).prefix(4 * axes)), axes: axes, path: path)
      let found = content.count - header
      guard found >= count else { throw Self.tooShort(count, found, extents, path) }
      guard found == count else {
        throw DataError(
          .malformed, "\(found - count) bytes follow the \(count) that the header announces",
          path: path, offset: header + count)
      }
      self.init(extents: extents, bytes: Array(content[header...]))
    }
  }

  /// The bytes of a plain IDX file of this array.
  package var encoded: [UInt8] {
    var file: [UInt8] = [0, 0, 8, UInt8(extents.count)]
    for extent in extents {
      for shift in [24, 16, 8, 0] { file.append(UInt8(truncatingIfNeeded: extent >> shift)) }
    }
    return file + bytes
  }

  /// Writes a file, compressed when its name ends in `.gz`.
  package func write(to path: String) throws(DataError) {
    try DataFile.write(path.hasSuffix(".gz") ? gzipped(encoded) : encoded, to: path)
  }

  /// Checks the first four bytes.
  private static func axisCount(_ start: [UInt8], path: String) throws(DataError) -> Int {
    guard !start.isEmpty else { throw DataError(.empty, "is empty", path: path) }
    guard start.count == 4 else {
      throw DataError(
        .malformed, "ends within the header", path: path, offset: start.count,
        remedy: "get the file again")
    }
    guard start[0] == 0, start[1] == 0 else {
      let page = start[0] == UInt8(ascii: "<") ? " but looks like a web page" : ""
      throw DataError(
        .malformed, "is not an IDX file (two zero bytes come first)\(page)", path: path, offset: 0)
    }
    guard start[2] == 8 else {
      let names: [UInt8: String] = [
        9: "signed bytes", 11: "16-bit integers", 12: "32-bit integers", 13: "32-bit floats",
        14: "64-bit floats",
      ]
      let found = names[start[2]] ?? "elements of unknown type \(start[2])"
      throw DataError(
        .malformed, "holds \(found), images and labels are unsigned bytes", path: path, offset: 2)
    }
    guard (1...4).contains(start[3]) else {
      throw DataError(.malformed, "has \(start[3]) axes, expected 1 to 4", path: path, offset: 3)
    }
    return Int(start[3])
  }

  /// Reads the extents and their product.
  private static func extents(
    _ header: [UInt8], axes: Int, path: String
  ) throws(DataError) -> (extents: [Int], count: Int) {
    guard header.count == 4 * axes else {
      throw DataError(
        .malformed, "ends within the header", path: path, offset: 4 + header.count,
        remedy: "get the file again")
    }
    let extents = (0..<axes).map { axis in
      header[(4 * axis)..<(4 * axis + 4)].reduce(0) { $0 << 8 | Int($1) }
    }
    if let axis = extents.firstIndex(of: 0) {
      throw DataError(.empty, "axis \(axis) has extent 0", path: path, offset: 4 + 4 * axis)
    }
    guard let count = checkedProduct(extents), count <= DataFile.largest else {
      throw DataError(
        .tooLarge, "announces \(joined(extents)) bytes, the limit is \(DataFile.largest)",
        path: path, offset: 4)
    }
    return (extents, count)
  }

  private static func tooShort(
    _ wanted: Int, _ found: Int, _ extents: [Int], _ path: String
  ) -> DataError {
    DataError(
      .malformed,
      "is cut off: the header announces \(joined(extents)) = \(wanted) bytes, "
        + "at most \(found) are there",
      path: path, offset: 4 + 4 * extents.count, remedy: "get the file again")
  }

  private static func joined(_ extents: [Int]) -> String {
    extents.map(String.init).joined(separator: "x")
  }
}
