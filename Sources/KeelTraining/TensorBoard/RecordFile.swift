import Glibc
import KeelData

/// A file of records as TensorFlow frames them, to which records are added: for each its length in
/// 8 bytes, the masked CRC-32C of these, the bytes, and their masked CRC-32C; little-endian.
package final class RecordFile {
  private let path: String
  private let descriptor: Int32

  /// Makes a new file.
  init(_ path: String) throws(TrainingError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .folder(path: path, problem: "cannot be created: \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  /// Adds records with one system call, so that a reader rarely sees a part of one.
  func append(_ records: [[UInt8]]) throws(TrainingError) {
    let bytes = records.flatMap { RecordFile.framed($0) }
    let isWritten = bytes.withUnsafeBytes { DataFile.writeAll($0, to: descriptor) }
    guard isWritten else {
      throw .folder(path: path, problem: "cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  /// A record with its frame.
  package static func framed(_ record: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(record.count))
    return length + littleEndian(CRC32C.masked(length)) + record
      + littleEndian(CRC32C.masked(record))
  }

  private static func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
}

/// The checksum of record files: CRC-32 with the polynomial of Castagnoli (1993), reflected.
package enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in
      value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1
    }
  }

  /// The checksum.
  package static func value(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
  }

  /// The form that is stored beside the bytes, since the checksum of bytes that hold a checksum is
  /// a weak one.
  package static func masked(_ bytes: [UInt8]) -> UInt32 {
    let value = value(bytes)
    return ((value >> 15) | (value << 17)) &+ 0xA282_EAD8
  }
}
