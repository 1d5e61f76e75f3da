internal import COpenCL
internal import KeelBackend

/// What a piece of work asked of the device, in order.
struct OpenCLCaptureScript {
  enum Event: Hashable {
    /// A new array of so many bytes.
    case array(bytes: Int)
    /// A launch: the kernel, the grid, all numbers among the arguments and the arrays that were
    /// there before, as one number.
    case launch(Int)
  }

  /// From when to when an array is needed, in events.
  struct Life {
    let bytes: Int
    let start: Int
    /// Nil of arrays that outlive the work.
    var end: Int?
  }

  var events: [Event] = []
  /// Of each array.
  var lives: [Life] = []
  /// The steps of the random keys of each launch that has some, by event.
  var keys: [Int: [UInt64]] = [:]
  /// What was launched, by event.
  var names: [Int: String] = [:]
}

/// Watches or records one run of a piece of work. Only used under the device's lock.
final class OpenCLRecording {
  let number: UInt64
  /// What the run is expected to do; nil while it is only watched.
  let plan: OpenCLCapturePlan?
  /// The memory of the plan's arrays.
  var arena: OpaquePointer?
  private(set) var script = OpenCLCaptureScript()
  private(set) var launches: [OpenCLRecordedLaunch] = []
  /// Why the work can never be repeated, if something says so.
  private(set) var refusal: String?
  /// Where the run first did something else than the plan says.
  private(set) var difference: String?
  private var plannedArrays: Set<Int> = []
  /// Whether the run has ended: arrays that are released later live longer than the work.
  var isOver = false

  init(_ number: UInt64, following plan: OpenCLCapturePlan?) {
    self.number = number
    self.plan = plan
  }

  /// Whether arrays in the plan's memory are still there.
  var hasPlannedArrays: Bool { !plannedArrays.isEmpty }

  /// Whether all went by the plan, to its end.
  var isComplete: Bool {
    plan != nil && difference == nil && refusal == nil
      && script.events.count == plan?.script.events.count
  }

  /// Whether launches are worth keeping.
  var keepsLaunches: Bool { plan != nil && difference == nil && refusal == nil }

  func refuse(_ reason: String) {
    if refusal == nil { refusal = reason }
  }

  /// Notes a new array and says where in the plan's memory it is, or nil if it has its own.
  func allocate(_ bytes: Int) -> (number: Int, offset: Int?) {
    let number = script.lives.count
    script.lives.append(.init(bytes: bytes, start: script.events.count))
    note(.array(bytes: bytes), "an array")
    guard keepsLaunches, let plan, let offset = plan.offsets[number] else { return (number, nil) }
    let place = offset..<(offset + bytes)
    for other in plannedArrays {
      guard let start = plan.offsets[other] else { continue }
      // Released earlier the last time.
      if place.overlaps(start..<(start + script.lives[other].bytes)) {
        difference = "it keeps arrays for longer than the time before"
        return (number, nil)
      }
    }
    plannedArrays.insert(number)
    return (number, offset)
  }

  /// An array of the run is gone.
  func released(_ array: Int) {
    plannedArrays.remove(array)
    if !isOver, array < script.lives.count { script.lives[array].end = script.events.count }
  }

  /// Gives up what it has noted; arrays that outlive the run keep it.
  func forget() { (script, launches) = (OpenCLCaptureScript(), []) }

  /// Whether an array came to be in this run.
  func owns(_ slot: OpenCLCaptureSlot?) -> Bool { slot?.recording === self }

  func add(
    _ kernel: OpenCLPrograms.Kernel, _ grid: Grid, _ notes: OpenCLArgumentNotes,
    _ memory: OpenCLKeptMemory?
  ) {
    var hasher = Hasher()
    hasher.combine(notes.fingerprint)
    hasher.combine(grid)
    let place = script.events.count
    if !notes.keys.isEmpty { script.keys[place] = notes.keys.map(\.key.step) }
    note(.launch(hasher.finalize()), "the launch of \(kernel.function)")
    guard keepsLaunches, let plan, let memory else { return }
    var keys: [OpenCLRecordedLaunch.Key] = []
    for (last, now) in zip(plan.script.keys[place] ?? [], notes.keys) {
      let distance = now.key.step &- number
      if distance == last &- plan.number {
        keys.append(.init(place: now, distance: distance))
      } else if now.key.step != last {
        difference = "the random numbers of \(kernel.function) do not follow its number"
        return
      }
    }
    launches.append(
      OpenCLRecordedLaunch(kernel: kernel, grid: grid, keys: keys, memory: memory))
  }

  private func note(_ event: OpenCLCaptureScript.Event, _ what: String) {
    let place = script.events.count
    script.events.append(event)
    guard let plan, difference == nil else { return }
    if place >= plan.script.events.count || plan.script.events[place] != event {
      difference = "\(what) differs from step to step"
    }
  }
}

/// Ties an array to the run that made it.
final class OpenCLCaptureSlot {
  let recording: OpenCLRecording
  let number: Int

  init(_ recording: OpenCLRecording, _ number: Int) {
    (self.recording, self.number) = (recording, number)
  }
}

/// What is said of the arguments of one launch while it is recorded.
final class OpenCLArgumentNotes {
  private var hasher = Hasher()
  private(set) var keys: [OpenCLPlacedKey] = []
  private(set) var objects: [OpaquePointer] = []
  /// Those that are older than the run: they must not go away or to somebody else.
  private(set) var storages: [OpenCLStorage] = []
  private let recording: OpenCLRecording

  var fingerprint: Int { hasher.finalize() }

  /// - Parameter known: the kernel that all launches of its kind share.
  init(_ recording: OpenCLRecording, _ known: OpenCLPrograms.Kernel) {
    self.recording = recording
    hasher.combine(ObjectIdentifier(known))
  }

  func add(_ size: Int, _ value: UnsafeRawPointer?) {
    hasher.combine(size)
    guard let value else { return }
    hasher.combine(bytes: UnsafeRawBufferPointer(start: value, count: size))
  }

  func add(_ key: RandomKey, at position: cl_uint) {
    hasher.combine(key.seed)
    hasher.combine(key.stream)
    keys.append(OpenCLPlacedKey(position: position, key: key))
  }

  func add(_ object: OpaquePointer, of storage: OpenCLStorage, from offset: Int) {
    objects.append(object)
    hasher.combine(offset)
    guard !recording.owns(storage.slot) else { return }
    hasher.combine(storage.buffer)
    storages.append(storage)
  }
}
