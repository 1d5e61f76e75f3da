import ArgumentParser
import FoundationEssentials
import Glibc
import Keel
import KeelBackend
import KeelData
import KeelOpenCL

/// `keel tune`: measures kernels on this machine and remembers the best.
struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Measures which kernels are fastest on a device, and remembers them.",
    discussion: """
      Every candidate is checked before it is timed, in a process of its own. One is taken where \
      it is at least 5 % faster than the planning function's choice; less counts as equal. \
      Shapes without a result come first, then the oldest: run it again to go on. Ctrl-C keeps \
      what is done. The database is KEEL_TUNING, else tuning.json beside the compiled kernels; all \
      commands read it, and an empty KEEL_TUNING turns it off.
      """)

  @OptionGroup var option: DeviceOption

  @Option(help: "Only one operation: matmul or convolution2d.")
  var op: String?

  @Option(
    help: ArgumentHelp(
      "Instead of the usual shapes, a product's rows, inner axis and columns, such as "
        + "64x784x128 (64'x784x128 with a transposed operand). May be repeated.",
      valueName: "shape"))
  var shape: [String] = []

  @Option(help: ArgumentHelp("How long to tune, such as 60s or 5m.", valueName: "time"))
  var budget = "60s"

  @Option(help: ArgumentHelp("Another file than the standard database.", valueName: "file"))
  var out: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Instead of tuning, join databases into --out; of two results the newer or better stays.",
      valueName: "files"))
  var merge: [String] = []

  @Option(help: ArgumentHelp("Seconds after which a candidate is given up.", valueName: "seconds"))
  var patience = 30.0

  @Flag(help: "Print the times of every candidate.") var verbose = false

  // For tests of the tuner, and the other end of its pipe.
  @Option(help: .hidden) var plant: [String] = []
  @Flag(help: .hidden) var worker = false

  func validate() throws {
    if Self.seconds(budget) == nil {
      throw ValidationError("--budget must be a time such as 60s or 5m, got '\(budget)'.")
    }
    if !(patience >= 0.1 && patience <= 3600) {
      throw ValidationError("--patience must be from 0.1 to 3600 seconds, got \(patience).")
    }
    if !merge.isEmpty && out == nil {
      throw ValidationError("--merge needs the file to write, with --out.")
    }
    if !shape.isEmpty && op == "convolution2d" {
      throw ValidationError("--shape is that of a matrix product; leave out --op convolution2d.")
    }
    for name in plant where TuningRequest.Fault(rawValue: name) == nil {
      throw ValidationError("--plant must be wrong, abort or hang, got '\(name)'.")
    }
  }

  func run() throws {
    if worker { return try serve() }
    if !merge.isEmpty { return try join() }
    let subjects = try subjects()
    guard let path = out ?? DeviceTuning.standardPath else {
      throw ExitStatus.badInput(
        "there is no place for the results: KEEL_TUNING or KEEL_CACHE is empty; name a file with "
          + "--out")
    }
    try DataFile.makeFolder(Self.folder(of: path))
    try OutputFile.requireWritable(path)
    let database = DataFile.exists(path) ? try Self.database(path) : TuningDatabase()
    let backend = try openCL()
    let session = TuningSession(
      backend: backend, path: path, database: database, patience: patience,
      isVerbose: verbose, planted: plant.compactMap { TuningRequest.Fault(rawValue: $0) })
    try session.run(subjects, seconds: Self.seconds(budget) ?? 60)
  }

  /// What is to be tuned.
  private func subjects() throws -> [TuningSubject] {
    if !shape.isEmpty {
      return try shape.map { text in
        guard let geometry = MatmulGeometry(shapeText: text) else {
          throw ExitStatus.badInput(
            "--shape must be rows, inner axis and columns from 1 to 65536 such as 64x784x128, "
              + "got '\(text)'")
        }
        return .matmul(geometry)
      }
    }
    let known = ["matmul", "convolution2d"]
    guard let op else { return TuningSubject.standard }
    guard known.contains(op) else {
      throw ExitStatus.badInput(
        "'\(op)' has no parameters to tune; --op takes \(known.joined(separator: " or "))")
    }
    return TuningSubject.standard.filter { $0.operation.rawValue == op }
  }

  /// The device, where it runs kernels.
  private func openCL() throws -> OpenCLBackend {
    let device = try option.open()
    guard let backend = device.backend.innermost as? OpenCLBackend else {
      throw ExitStatus.badInput(
        "\(device.info.selector) does not run kernels that could be tuned; name an OpenCL device "
          + "with --device")
    }
    return backend
  }

  /// The worker: answers requests until there are no more.
  private func serve() throws {
    let device = try option.open(quietly: true)
    guard
      let entry = OpenCLDiscovery.shared.devices.first(where: {
        $0.description.selector == device.info.selector
      })
    else { throw ExitStatus.badInput("no such device") }
    let worker = try TuningWorker(entry: entry)
    while let line = readLine() {
      let request = try JSONDecoder().decode(TuningRequest.self, from: Data(line.utf8))
      let reply = [UInt8](try JSONEncoder().encode(worker.reply(to: request)))
      (reply + [UInt8(ascii: "\n")]).withUnsafeBytes { bytes in
        _ = DataFile.writeAll(bytes, to: STDOUT_FILENO)
      }
    }
  }

  private func join() throws {
    guard let out else { return }
    var all = TuningDatabase()
    for path in merge { all.merge(try Self.database(path)) }
    try DataFile.write(try all.encoded(), to: out)
    let devices = Set(all.sorted.map(\.key.device)).count
    print(
      "\(all.entries.count) results of \(devices) device\(devices == 1 ? "" : "s") "
        + "written to \(out)"
        + (all.unknown == 0 ? "" : "; left out: \(all.unknown) of unknown forms"))
  }

  private static func database(_ path: String) throws -> TuningDatabase {
    let bytes = try DataFile.read(path)
    do throws(TuningDatabase.Problem) { return try TuningDatabase(bytes) } catch {
      throw ExitStatus.badInput("\(path) \(error)")
    }
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The seconds of a text such as `90`, `60s`, `5m` or `1h`.
  private static func seconds(_ text: String) -> Double? {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
    let unit = text.last.flatMap { units[$0] }
    guard let number = Double(unit == nil ? text : String(text.dropLast())) else { return nil }
    let seconds = number * (unit ?? 1)
    return seconds >= 1 && seconds <= 86400 ? seconds : nil
  }
}
