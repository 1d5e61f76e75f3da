internal import COpenCL
internal import Glibc
package import KeelBackend

/// An OpenCL device: one context, one in-order queue, memory from a pool, programs from a cache.
///
/// All methods may be called from any thread; work starts in the order in which it was given.
package final class OpenCLBackend: @unchecked Sendable {
  package let info: DeviceDescription
  package let limits: OpenCLLimits

  let tuning: DeviceTuning

  let library: OpenCLLibrary
  let entry: OpenCLDeviceEntry
  let lock = OpenCLLock()
  let pool: OpenCLMemoryPool
  // Safe: everything below is only touched under the lock.
  let programs: OpenCLPrograms
  let staging: OpenCLStaging
  var queue: OpaquePointer
  let context: OpaquePointer
  var launches = 0
  var blockingReads = 0
  var unflushed = 0
  var record: OpenCLRecord?
  var recording: OpenCLRecording?
  var product = TileProduct.multiplyAdd
  var pointwiseKernels: [PointwiseKernelKey: KernelSource] = [:]
  private var classOverride: Bool?

  /// The class or the maker that KEEL_DEVICE_CLASS names, whatever the device is.
  private static func forcedClass() throws(DeviceError) -> String? {
    guard let name = getenv("KEEL_DEVICE_CLASS").map({ String(cString: $0) }) else { return nil }
    let names = ["cpu", "gpu"] + GPUFamily.allCases.map(\.rawValue)
    guard names.contains(name) else {
      throw .unsupported(
        operation: "KEEL_DEVICE_CLASS=\(name)", reason: "it may be \(names.joined(separator: ", "))"
      )
    }
    return name
  }

  /// Opens a device with its own queue, pool and programs.
  ///
  /// - Parameter tuning: nil is what the user's database holds for the device.
  /// Use ``open(_:)`` for the one that the process shares.
  package init(
    _ entry: OpenCLDeviceEntry, cache: OpenCLBinaryCache = .standard(),
    tuning: DeviceTuning? = nil
  ) throws(DeviceError) {
    guard let library = OpenCLLibrary.shared else {
      throw .notFound(selector: entry.description.selector, available: [])
    }
    let forced = try Self.forcedClass()
    // One context at a time: some drivers fail when the first ones are made concurrently.
    Self.opening.lock()
    defer { Self.opening.unlock() }
    let api = library.api
    var device: OpaquePointer? = entry.device
    let platform = Int(bitPattern: entry.platform)
    let properties: [cl_context_properties] = [Int(CL_CONTEXT_PLATFORM), platform, 0]
    let context = try make("clCreateContext") {
      api.clCreateContext(properties, 1, &device, nil, nil, &$0)
    }
    do {
      queue = try make("clCreateCommandQueue") {
        api.clCreateCommandQueue(context, entry.device, 0, &$0)
      }
    } catch {
      _ = api.clReleaseContext(context)
      throw error
    }
    self.library = library
    self.entry = entry
    self.context = context
    info = entry.description
    let family = forced.flatMap { GPUFamily(rawValue: $0) }
    var limits = entry.limits
    limits.family = family ?? limits.family
    self.limits = limits
    classOverride = forced.map { $0 == "cpu" }
    self.tuning = tuning ?? .standard(for: entry.description)
    pool = OpenCLMemoryPool(library, context: context, limits: entry.limits, lock: lock)
    programs = OpenCLPrograms(library, entry, context: context, cache: cache)
    staging = OpenCLStaging(library)
    if let played = getenv("KEEL_TENSOR_CORES"), String(cString: played) == "played" {
      product = .tensorCoresPlayed
    }
  }

  deinit {
    savePrograms()
    _ = library.api.clReleaseCommandQueue(queue)
  }

  /// Keeps binaries that the disk does not have yet. At the end and not before: PoCL compiles all
  /// kernels of a program again when it is asked for its binary, which would hold up the first
  /// steps for as long as they have waited for compilers already. Not in an exit handler: drivers
  /// have theirs, which come first.
  private func savePrograms() {
    lock.lock()
    defer { lock.unlock() }
    _ = library.api.clFinish(queue)
    programs.save()
  }

  private static let opening = OpenCLLock()
  // Safe: only touched under `opening`.
  nonisolated(unsafe) private static var opened: [Int: OpenCLBackend] = [:]

  /// The process's one backend of a device.
  package static func open(_ entry: OpenCLDeviceEntry) throws(DeviceError) -> OpenCLBackend {
    opening.lock()
    defer { opening.unlock() }
    if let known = opened[entry.index] { return known }
    let backend = try OpenCLBackend(entry)
    opened[entry.index] = backend
    return backend
  }

  /// Keeps the binaries of all devices that ``open(_:)`` has opened.
  package static func savePrograms() {
    opening.lock()
    let backends = opened.values
    opening.unlock()
    for backend in backends { backend.savePrograms() }
  }

  /// Whether kernels should be those for CPU-class devices: wide vectors, few and big work-items.
  package var isCPUClass: Bool {
    lock.lock()
    defer { lock.unlock() }
    return classOverride ?? (info.kind == .cpu)
  }

  /// Runs `body` as if the device were of the other class, so that both are tested on one.
  package func pretending<Result>(
    cpuClass: Bool, _ body: () throws(DeviceError) -> Result
  ) throws(DeviceError) -> Result {
    let before = setClass(cpuClass)
    defer { _ = setClass(before) }
    return try body()
  }

  /// Sets the class that ``isCPUClass`` reports; nil is the device's own. Returns what was set.
  package func setClass(_ cpuClass: Bool?) -> Bool? {
    lock.lock()
    defer { lock.unlock() }
    let before = classOverride
    classOverride = cpuClass
    return before
  }

  package var tuningRecord: TuningRecord? { tuning.record }

  package func resetPeakBytes() { pool.resetPeakBytes() }

  package var counters: DeviceCounters {
    lock.lock()
    defer { lock.unlock() }
    var counters = DeviceCounters()
    counters.launches = launches
    counters.allocations = pool.allocations
    counters.liveBytes = pool.liveBytes
    counters.peakBytes = pool.peakBytes
    counters.blockingReads = blockingReads
    return counters
  }

  /// Programs compiled from text since the device was opened: 0 with a warm cache.
  package var compilations: Int {
    lock.lock()
    defer { lock.unlock() }
    return programs.compilations
  }

  package func allocate(_ shape: Shape, _ dtype: DType) throws(DeviceError) -> NDArray {
    guard shape.isCountable else { throw pool.exhausted(.max) }
    let storage = try pool.storage(byteCount: shape.count * dtype.byteCount)
    return NDArray(storage: storage, shape: shape, dtype: dtype)
  }

  /// Memory for intermediate results, its contents undefined. It may be dropped as soon as the
  /// kernels that use it are launched.
  package func scratch(
    _ count: Int, _ dtype: DType = .float32
  ) throws(DeviceError) -> NDArray {
    try allocate([count], dtype)
  }
}
