internal import Glibc
package import KeelBackend
internal import Logging
internal import Synchronization

/// The tuned choices that hold for one device: read once when it is opened, looked up by shape
/// class at each plan.
package final class DeviceTuning: Sendable {
  private final class Choice: Sendable {
    let plan: TunedPlan
    let sentence: String
    /// Whether a planning function has taken it.
    let isUsed = Atomic<Bool>(false)

    init(_ plan: TunedPlan, _ sentence: String) {
      self.plan = plan
      self.sentence = sentence
    }
  }

  private let choices: [ShapeClass: Choice]
  private let fingerprint: String

  /// Nothing but the planning functions.
  package static let none = DeviceTuning(TuningDatabase(), for: nil)

  /// What a database holds for a device, and a line about what it holds for others.
  package init(
    _ database: TuningDatabase, for device: DeviceDescription?,
    log: (String) -> Void = { _ in }
  ) {
    var choices: [ShapeClass: Choice] = [:]
    var (elsewhere, changed, unknown) = (0, 0, database.unknown)
    var sources: [OperationName: String] = [:]
    var sum = Fingerprint()
    for entry in database.sorted {
      guard let device, entry.key.vendor == device.vendor, entry.key.device == device.name,
        entry.key.driver == device.driver
      else {
        elsewhere += 1
        continue
      }
      let operation = entry.subject.operation
      let source =
        sources[operation] ?? KernelSource.fingerprint(of: entry.subject.programs)
      sources[operation] = source
      guard entry.key.source == source else {
        changed += 1
        continue
      }
      // Buckets and class are part of the text: other programs may draw them otherwise.
      let shape = [true, false].map { entry.subject.shapeClass(isCPUClass: $0) }
        .first { $0.description == entry.key.shapeClass }
      guard let shape, let parameters = entry.choice else {
        if shape == nil { unknown += 1 }
        continue
      }
      guard let plan = TunedPlan(parameters, of: operation) else {
        unknown += 1
        continue
      }
      choices[shape] = Choice(plan, "\(operation.rawValue), \(shape): \(plan)")
      sum.add("\(shape)")
      sum.add("\(plan)")
    }
    self.choices = choices
    fingerprint = sum.text
    let ignored = [
      (elsewhere, "of other devices or drivers"), (changed, "of other kernels than these"),
      (unknown, "of unknown forms"),
    ].filter { $0.0 > 0 }
    if !ignored.isEmpty {
      log(
        "\(choices.count) tuned choices; ignored: "
          + ignored.map { "\($0.0) \($0.1)" }.joined(separator: ", "))
    }
  }

  package func matmul(
    _ geometry: MatmulGeometry, isCPUClass: Bool, limits: OpenCLLimits
  ) -> MatmulPlan? {
    if choices.isEmpty { return nil }
    guard let choice = choices[ShapeClass(geometry, isCPUClass: isCPUClass)],
      case .matmul(let plan) = choice.plan,
      plan.computes(geometry, isCPUClass: isCPUClass, limits: limits)
    else { return nil }
    choice.isUsed.store(true, ordering: .relaxed)
    return plan
  }

  package func convolution2D(
    _ geometry: Convolution2DGeometry, _ direction: Convolution2DDirection, isCPUClass: Bool,
    limits: OpenCLLimits
  ) -> Convolution2DPlan? {
    if choices.isEmpty { return nil }
    guard let choice = choices[ShapeClass(geometry, direction, isCPUClass: isCPUClass)],
      case .convolution2D(let plan) = choice.plan,
      plan.computes(geometry, direction, isCPUClass: isCPUClass, limits: limits)
    else { return nil }
    choice.isUsed.store(true, ordering: .relaxed)
    return plan
  }

  /// For the record of a run; nil where nothing is tuned.
  package var record: TuningRecord? {
    if choices.isEmpty { return nil }
    let used = choices.values.filter { $0.isUsed.load(ordering: .relaxed) }
    return TuningRecord(fingerprint: fingerprint, choices: used.map(\.sentence).sorted())
  }
}

// The user's file.
extension DeviceTuning {
  /// Where the database lies: `$KEEL_TUNING`, else beside the compiled kernels; nil where that is
  /// empty, or where there is no such place.
  package static var standardPath: String? {
    if let own = getenv("KEEL_TUNING").map({ String(cString: $0) }) {
      return own.isEmpty ? nil : own
    }
    guard let programs = OpenCLBinaryCache.standard().folder else { return nil }
    return programs.dropLast("programs".count) + "tuning.json"
  }

  /// The standard database's choices for a device. A file that cannot be used is a warning: the
  /// planning functions do without.
  static func standard(for device: DeviceDescription) -> DeviceTuning {
    guard let path = standardPath, let bytes = readFile(path) else { return none }
    let log = Logger(label: "keel.opencl")
    do throws(TuningDatabase.Problem) {
      let database = try TuningDatabase(bytes)
      return DeviceTuning(database, for: device) { log.info("\(path): \($0)") }
    } catch {
      log.warning("\(path) \(error); kernels are not tuned. 'keel tune' makes a new one")
      return none
    }
  }
}
