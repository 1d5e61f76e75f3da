import FoundationEssentials
import KeelBackend

extension Safetensors {
  /// Reads the bytes of a file, strictly: every byte belongs to the header or to exactly one
  /// tensor.
  ///
  /// - Parameter path: what error messages call it.
  /// - Throws: ``TrainingError/checkpoint(path:problem:)`` that says what is wrong.
  public init(decoding bytes: [UInt8], path: String) throws(TrainingError) {
    func refuse(_ problem: String) -> TrainingError { .checkpoint(path: path, problem: problem) }
    guard bytes.count >= 8 else {
      throw refuse("is not a safetensors file: it has only \(bytes.count) bytes")
    }
    let length = bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
    }
    guard length <= UInt64(Safetensors.largestHeader) else {
      throw refuse("is not a safetensors file: its header claims \(length) bytes")
    }
    let start = 8 + Int(length)
    guard start <= bytes.count else {
      throw refuse("is truncated: the header needs \(length) bytes, \(bytes.count - 8) are there")
    }
    guard bytes[8..<start].first == UInt8(ascii: "{") else {
      throw refuse("is not a safetensors file: its header is not a JSON object")
    }
    let header: Header
    do {
      header = try JSONDecoder().decode(Header.self, from: Data(bytes[8..<start]))
    } catch {
      throw refuse("has a header that is not valid: \(Safetensors.sentence(error))")
    }
    metadata = header.metadata
    entries = []
    var next = 0
    for tensor in header.tensors.sorted(by: { $0.order < $1.order }) {
      let count = try tensor.byteCount(path)
      guard tensor.begin == next else {
        throw refuse(
          "tensor '\(tensor.name)' starts at byte \(tensor.begin) of the data, not at \(next): "
            + "tensors overlap or leave gaps")
      }
      guard tensor.end >= tensor.begin, tensor.end - tensor.begin == count else {
        throw refuse(
          "tensor '\(tensor.name)' needs \(count) bytes for its shape, its offsets are "
            + "\(tensor.begin) and \(tensor.end)")
      }
      guard tensor.end <= bytes.count - start else {
        throw refuse(
          "is truncated: tensor '\(tensor.name)' ends at byte \(tensor.end) of the data, "
            + "\(bytes.count - start) are there")
      }
      entries.append(
        Entry(
          name: tensor.name, dtype: tensor.dtype, shape: Shape(tensor.shape),
          bytes: Array(bytes[(start + tensor.begin)..<(start + tensor.end)])))
      next = tensor.end
    }
    guard next == bytes.count - start else {
      throw refuse("has \(bytes.count - start - next) bytes after its last tensor")
    }
  }

  /// What a decoding error says, in one line.
  static func sentence(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "it is not JSON" }
    let (context, what): (DecodingError.Context, String)
    switch error {
    case .keyNotFound(let key, let place): (context, what) = (place, "'\(key.stringValue)' lacks")
    case .typeMismatch(_, let place): (context, what) = (place, "a value of another type")
    case .valueNotFound(_, let place): (context, what) = (place, "a value lacks")
    case .dataCorrupted(let place): (context, what) = (place, place.debugDescription)
    @unknown default: return "it is not as expected"
    }
    let path = context.codingPath.map(\.stringValue).joined(separator: ".")
    return path.isEmpty ? what : "\(path): \(what)"
  }
}

/// The JSON header: a text table and one object per tensor.
private struct Header: Decodable {
  var metadata: [String: String] = [:]
  var tensors: [TensorHeader] = []

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: AnyKey.self)
    for key in values.allKeys {
      if key.stringValue == "__metadata__" {
        metadata = try values.decode([String: String].self, forKey: key)
      } else {
        var tensor = try values.decode(TensorHeader.self, forKey: key)
        tensor.name = key.stringValue
        tensors.append(tensor)
      }
    }
  }
}

private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

private struct TensorHeader: Decodable {
  var name = ""
  let dtype: DType
  let shape: [Int]
  let begin: Int
  let end: Int

  private enum Key: String, CodingKey {
    case dtype, shape
    case offsets = "data_offsets"
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    let type = try values.decode(String.self, forKey: .dtype)
    guard let dtype = DType.allCases.first(where: { $0.safetensorsName == type }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .dtype, in: values, debugDescription: "element type '\(type)' is not supported")
    }
    self.dtype = dtype
    shape = try values.decode([Int].self, forKey: .shape)
    let offsets = try values.decode([Int].self, forKey: .offsets)
    guard offsets.count == 2, offsets[0] >= 0 else {
      throw DecodingError.dataCorruptedError(
        forKey: .offsets, in: values, debugDescription: "needs two offsets of at least 0")
    }
    (begin, end) = (offsets[0], offsets[1])
  }

  /// By place; tensors without elements share one, so their names decide.
  var order: (Int, Int, String) { (begin, end, name) }

  func byteCount(_ path: String) throws(TrainingError) -> Int {
    var count = dtype.byteCount
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow, shape.count <= Shape.maximumRank else {
        throw .checkpoint(path: path, problem: "tensor '\(name)' has an impossible shape \(shape)")
      }
      count = product
    }
    return count
  }
}
