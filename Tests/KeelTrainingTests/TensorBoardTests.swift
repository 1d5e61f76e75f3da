import Keel
import KeelBackend
import KeelData
import KeelStability
import KeelTraining
import Testing

/// Event files, read back by a small reader of the two formats.
@Suite struct TensorBoardTests {
  /// A field of a protobuf message.
  private struct Field {
    var number: Int
    var integer: UInt64 = 0
    var bytes: [UInt8] = []
    var double: Double { Double(bitPattern: integer) }
    var float: Float { Float(bitPattern: UInt32(integer)) }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var doubles: [Double] {
      stride(from: 0, to: bytes.count, by: 8).map {
        Double(bitPattern: littleEndian(bytes[$0..<($0 + 8)]))
      }
    }
  }

  private static func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func fields(_ message: [UInt8]) throws -> [Field] {
    var rest = message[...]
    func varint() throws -> UInt64 {
      var (value, shift): (UInt64, UInt64) = (0, 0)
      while true {
        let byte = try #require(rest.first)
        rest = rest.dropFirst()
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
        shift += 7
      }
    }
    var fields: [Field] = []
    while !rest.isEmpty {
      let tag = try varint()
      var field = Field(number: Int(tag >> 3))
      switch tag & 7 {
      case 0: field.integer = try varint()
      case 1, 5:
        let count = tag & 7 == 1 ? 8 : 4
        try #require(rest.count >= count)
        field.integer = littleEndian(rest.prefix(count))
        rest = rest.dropFirst(count)
      case 2:
        let count = Int(try varint())
        try #require(rest.count >= count)
        field.bytes = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
      default: Issue.record("kind \(tag & 7)")
      }
      fields.append(field)
    }
    return fields
  }

  /// The records of a file, whose frames must be right.
  private static func records(_ file: [UInt8]) throws -> [[UInt8]] {
    var rest = file[...]
    var records: [[UInt8]] = []
    while !rest.isEmpty {
      try #require(rest.count >= 12)
      let header = Array(rest.prefix(8))
      let count = Int(littleEndian(header[...]))
      rest = rest.dropFirst(8)
      #expect(littleEndian(rest.prefix(4)) == UInt64(CRC32C.masked(header)))
      rest = rest.dropFirst(4)
      try #require(rest.count >= count + 4)
      let record = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
      #expect(littleEndian(rest.prefix(4)) == UInt64(CRC32C.masked(record)))
      rest = rest.dropFirst(4)
      records.append(record)
    }
    return records
  }

  /// What an event file holds.
  private struct Board {
    var version = ""
    var scalars: [String: [(step: UInt64, value: Float)]] = [:]
    var histograms: [String: [(step: UInt64, fields: [Field])]] = [:]

    init(_ file: [UInt8]) throws {
      for record in try records(file) {
        let event = try fields(record)
        #expect((event.first { $0.number == 1 }?.double ?? 0) > 1.5e9)
        let step = event.first { $0.number == 2 }?.integer ?? 0
        if let text = event.first(where: { $0.number == 3 }) { version = text.text }
        for summary in event where summary.number == 5 {
          for part in try fields(summary.bytes) where part.number == 1 {
            let value = try fields(part.bytes)
            let tag = try #require(value.first { $0.number == 1 }).text
            if let number = value.first(where: { $0.number == 2 }) {
              scalars[tag, default: []].append((step, number.float))
            }
            if let histogram = value.first(where: { $0.number == 5 }) {
              histograms[tag, default: []].append((step, try fields(histogram.bytes)))
            }
          }
        }
      }
    }
  }

  // The answers of RFC 3720, appendix B.4.
  @Test func checksumsHaveKnownAnswers() {
    #expect(CRC32C.value([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.value([UInt8](repeating: 255, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.value(Array(0..<32)) == 0x46DD_794E)
    #expect(CRC32C.value(Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.value([]) == 0)
    // Rotated right by 15, plus the constant.
    #expect(CRC32C.masked(Array("123456789".utf8)) == 0xC78A_B0E5)
  }

  @Test func framesHoldLengthBytesAndChecksums() throws {
    let frame = RecordFile.framed([7, 8, 9])
    #expect(frame.count == 8 + 4 + 3 + 4)
    #expect(Array(frame.prefix(8)) == [3, 0, 0, 0, 0, 0, 0, 0])
    #expect(try Self.records(frame + RecordFile.framed([])) == [[7, 8, 9], []])
  }

  @Test(arguments: TestDevices.all)
  func aTrainingIsWrittenAsItWas(_ device: Device) throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      let held = try TestData.columns(24, seed: 8)
      let trainer = try TestData.recipeTrainer(device)
      let writer = try TensorBoardWriter(folder: folder + "/board")
      try trainer.fit(
        data, epochs: 3, batchSize: 16, validation: .data(held), callbacks: [writer])
      let board = try Board(DataFile.read(writer.path))
      #expect(board.version == "brain.Event:2")
      let steps = trainer.history.steps
      #expect(steps.count == 9)
      func expect(_ tag: String, _ values: [Float]) {
        let written = board.scalars[tag] ?? []
        #expect(written.map(\.value) == values, "\(tag)")
      }
      #expect(board.scalars["train/loss"]?.map(\.step) == Array(1...9))
      expect("train/loss", steps.map(\.loss))
      expect("train/accuracy", steps.compactMap(\.accuracy))
      expect("gradient/norm", steps.map(\.gradientNorm))
      expect("gradient/norm after clipping", steps.map(\.clippedNorm))
      expect("step/learning rate", steps.map(\.learningRate))
      expect("step/left out", steps.map { _ in 0 })
      let epochs = trainer.history.epochs
      #expect(board.scalars["epoch/loss"]?.map(\.step) == [3, 6, 9])
      expect("epoch/validation loss", epochs.map { Float($0.validationLoss ?? .nan) })
      // Nothing that is written changes the training.
      let silent = try TestData.recipeTrainer(device)
      try silent.fit(data, epochs: 3, batchSize: 16, validation: .data(held))
      #expect(try TestData.bits(silent.model) == TestData.bits(trainer.model))
    }
  }

  @Test(arguments: TestDevices.all)
  func histogramsCountTheGradientsOfTheLastStep(_ device: Device) throws {
    try withFolder { folder in
      let data = try TestData.columns(40)
      let trainer = try TestData.recipeTrainer(device)
      let writer = try TensorBoardWriter(folder: folder)
      try trainer.fit(data, epochs: 2, batchSize: 16, callbacks: [writer])
      let board = try Board(DataFile.read(writer.path))
      let telescope = try trainer.updater.telescope()
      #expect(board.histograms.count == telescope.count)
      for gradient in telescope {
        let written = board.histograms["gradient log2/\(gradient.parameter)"] ?? []
        #expect(written.map(\.step) == [3, 6])
        let last = try #require(written.last).fields
        func value(_ number: Int) -> Field {
          last.first { $0.number == number } ?? Field(number: 0)
        }
        let (limits, counts) = (value(6).doubles, value(7).doubles)
        #expect(limits.count == counts.count && limits == limits.sorted())
        #expect(counts.reduce(0, +) == Double(gradient.count - gradient.zero))
        #expect(value(3).double == Double(gradient.count - gradient.zero))
        #expect(value(1).double == limits.first && value(2).double == limits.last)
        // The largest element is in the last bin.
        let largest = Double(gradient.largest.exponent)
        #expect((counts.last ?? 0) > 0)
        #expect(largest < (limits.last ?? 0) && largest >= (limits.last ?? 0) - 16)
      }
    }
  }

  @Test func aFolderThatCannotBeMadeIsNamed() throws {
    try withFolder { folder in
      try DataFile.write([1], to: folder + "/file")
      #expect(
        sentence { _ = try TensorBoardWriter(folder: folder + "/file") }.contains("is a file"))
      let first = try TensorBoardWriter(folder: folder + "/board")
      let second = try TensorBoardWriter(folder: folder + "/board")
      #expect(first.path != second.path)
    }
  }
}
