import KeelBackend
import KeelOpenCL
import Testing

/// The file of tuned choices: what it keeps, what it refuses, whom it belongs to.
@Suite struct TuningDatabaseTests {
  static let device = DeviceDescription(
    selector: "opencl:0", name: "a device", vendor: "a vendor", platform: "a platform",
    driver: "1.0", version: "OpenCL 1.2", kind: .cpu, memoryBytes: 1 << 30, computeUnits: 2)
  static let geometry = MatmulGeometry(rows: 64, inner: 784, columns: 128)
  static let plan = MatmulPlan.tiles(
    MatmulTiles(rows: 6, vectors: 2, packsLeft: true, packsRight: false, parts: 4))

  static func entry(
    _ geometry: MatmulGeometry = geometry, _ plan: MatmulPlan? = plan, nanoseconds: Double = 90,
    date: String = "2026-11-21T16:00:00Z", on device: DeviceDescription = device
  ) -> TuningDatabase.Entry {
    let subject = TuningSubject.matmul(geometry)
    return TuningDatabase.Entry(
      key: TuningDatabase.Key(subject, on: device, isCPUClass: true), subject: subject,
      choice: plan.map { TunedPlan.matmul($0).parameters }, nanoseconds: nanoseconds,
      defaultNanoseconds: 100, spread: 0.01, samples: 31, date: date, keel: "0.1.0")
  }

  static func database(_ entries: TuningDatabase.Entry...) -> TuningDatabase {
    var database = TuningDatabase()
    for entry in entries { database.insert(entry) }
    return database
  }

  @Test func aFileKeepsEverything() throws {
    let other = MatmulGeometry(rows: 4, inner: 4, columns: 4, transposeRight: true)
    let database = Self.database(Self.entry(), Self.entry(other, nil))
    let bytes = try database.encoded()
    #expect(try TuningDatabase(bytes) == database)
    #expect(try TuningDatabase(bytes).encoded() == bytes)
  }

  @Test func damagedFilesAreRefused() throws {
    let whole = try Self.database(Self.entry()).encoded()
    for bytes in [[], Array("{}".utf8), Array(whole.prefix(whole.count / 2)), [0xFF, 0x00]] {
      #expect(throws: TuningDatabase.Problem.self) { try TuningDatabase(bytes) }
    }
    let other = Array(#"{"form":"keel-tuning-9","entries":[]}"#.utf8)
    #expect(throws: TuningDatabase.Problem.self) { try TuningDatabase(other) }
    // One entry that cannot be read leaves the others.
    let text = String(decoding: whole, as: UTF8.self)
    let marked = text.replacing("\"entries\" : [", with: "\"entries\" : [{\"key\":3},")
    let partial = try TuningDatabase(Array(marked.utf8))
    #expect(partial.entries.count == 1 && partial.unknown == 1)
  }

  @Test func newerOrBetterWinsInAnyOrder() {
    let (old, new) = (Self.entry(nanoseconds: 50), Self.entry(date: "2026-11-22T16:00:00Z"))
    let better = Self.entry(nanoseconds: 80, date: new.date)
    let orders = [[old, new, better], [better, new, old], [new, better, old]]
    for order in orders {
      var all = TuningDatabase()
      for entry in order { all.merge(Self.database(entry)) }
      #expect(all.sorted == [better])
    }
  }

  @Test func shapeClassesArePowersOfTwo() {
    func key(_ rows: Int, _ inner: Int, transposed: Bool = false) -> ShapeClass {
      ShapeClass(
        MatmulGeometry(rows: rows, inner: inner, columns: 128, transposeLeft: transposed),
        isCPUClass: true)
    }
    #expect(key(64, 784) == key(127, 512) && key(64, 784) != key(63, 784))
    #expect(key(64, 784) != key(64, 1024) && key(64, 784) != key(64, 784, transposed: true))
    #expect("\(key(64, 784))" == "cpu: rows 64+, inner 512+, columns 128+, batch 1+")
  }

  @Test func foreignEntriesAreIgnoredInOneLine() {
    func tuning(_ entry: TuningDatabase.Entry) -> (record: TuningRecord?, lines: [String]) {
      var lines: [String] = []
      let tuning = DeviceTuning(Self.database(entry), for: Self.device) { lines.append($0) }
      return (tuning.record, lines)
    }
    #expect(tuning(Self.entry()).record != nil && tuning(Self.entry()).lines == [])
    var device = Self.device
    device.driver = "1.1"
    let foreign = tuning(Self.entry(on: device))
    #expect(foreign.record == nil)
    #expect(foreign.lines == ["0 tuned choices; ignored: 1 of other devices or drivers"])
    var changed = Self.entry()
    changed.key.source = "another"
    #expect(tuning(changed).lines == ["0 tuned choices; ignored: 1 of other kernels than these"])
    var unknown = Self.entry()
    unknown.choice = PlanParameters("kernels of tomorrow")
    #expect(tuning(unknown).lines == ["0 tuned choices; ignored: 1 of unknown forms"])
    // The default was measured and stays: nothing to record.
    #expect(tuning(Self.entry(Self.geometry, nil)).record == nil)
  }

  /// A launch takes microseconds.
  @Test func aLookupTakesLessThanAMicrosecond() {
    let tuning = DeviceTuning(Self.database(Self.entry()), for: Self.device)
    guard let limits = TestDevice.entry?.limits else { return }
    var found = 0
    let time = ContinuousClock().measure {
      for columns in 0..<100_000 {
        var geometry = Self.geometry
        geometry.columns += columns % 256
        let plan = tuning.matmul(geometry, isCPUClass: true, limits: limits)
        if plan == Self.plan { found += 1 }
      }
    }
    #expect(found >= 50_000 && found < 51_000)
    #expect(time < .milliseconds(100), "\(time)")
  }

  @Test func theFingerprintNamesTheChoices() throws {
    func fingerprint(_ entry: TuningDatabase.Entry) throws -> String {
      try #require(DeviceTuning(Self.database(entry), for: Self.device).record).fingerprint
    }
    let one = try fingerprint(Self.entry())
    // Other times of the same choice do not change a result.
    #expect(try fingerprint(Self.entry(nanoseconds: 60)) == one)
    let plan = MatmulPlan.tiles(
      MatmulTiles(rows: 8, vectors: 2, packsLeft: true, packsRight: false))
    #expect(try fingerprint(Self.entry(Self.geometry, plan)) != one)
  }

  @Test func plansSurviveTheirFormAndNonsenseIsNone() throws {
    let plans: [TunedPlan] = [
      .matmul(Self.plan), .convolution2D(.tiles), .convolution2D(.local(nil)),
      .convolution2D(.local(LocalTile(64, 64, lanes: (8, 16), inner: 16))),
      .convolution2D(.groups),
      .convolution2D(.winograd(Convolution2DWinogradPlan(tileOut: 4, slice: 64))),
      .convolution2D(.winograd(Convolution2DWinogradPlan(tileOut: 2, slice: 8, block: 16))),
      .matmul(
        .local(
          try #require(
            LocalTiles(LocalTile(64, 32, lanes: (8, 8), inner: 8), splits: 4)))),
    ]
    for plan in plans {
      let operation: OperationName =
        if case .matmul = plan { .matmul } else { .convolution2D }
      #expect(TunedPlan(plan.parameters, of: operation) == plan)
    }
    let nonsense = [
      PlanParameters(
        "register tiles",
        ["rows": 99, "vectors": 2, "packsLeft": 0, "packsRight": 0, "parts": 1, "columnsFirst": 0]),
      PlanParameters("register tiles"),
      PlanParameters("local tiles", ["tile": 64, "inner": 16, "side": 16, "splits": 1]),
      PlanParameters(
        "local tiles",
        [
          "rows": 48, "columns": 64, "laneRows": 8, "laneColumns": 8, "inner": 16, "splits": 1,
        ]),
    ]
    for form in nonsense { #expect(TunedPlan(form, of: .matmul) == nil) }
  }
}
