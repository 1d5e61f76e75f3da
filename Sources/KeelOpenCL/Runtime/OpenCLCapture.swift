internal import COpenCL
package import KeelBackend

extension OpenCLBackend: CapturingBackend {
  package var isReadyToCapture: Bool {
    lock.lock()
    defer { lock.unlock() }
    return record == nil && recording == nil
  }

  package func makeCaptureSpace() -> any CaptureSpace { OpenCLCaptureSpace(pool) }

  package func makeCapture(in space: any CaptureSpace) -> any WorkCapture {
    guard let space = space as? OpenCLCaptureSpace else {
      preconditionFailure("a capture space of another device")
    }
    return OpenCLCapture(self, space)
  }
}

/// A capture at the level of launches: each has a kernel object of its own that keeps its
/// arguments, so a repetition sets none but the steps of random numbers.
final class OpenCLCapture: WorkCapture {
  /// Times that the work may differ from the time before.
  private static let attempts = 3
  /// More launches and arrays than that are not worth the host's memory.
  private static let largestScript = 20_000

  private(set) var refusal: String?
  private let backend: OpenCLBackend
  private let space: OpenCLCaptureSpace
  private var plan: OpenCLCapturePlan?
  private var differences = 0
  private var launches: [OpenCLRecordedLaunch] = []
  /// The kernels that were recorded.
  private var choice: Choice?

  /// What decides between the forms of kernels and may change while a device is open.
  private struct Choice: Equatable {
    let isCPUClass: Bool
    let product: TileProduct
  }

  var isRecorded: Bool { !launches.isEmpty }

  init(_ backend: OpenCLBackend, _ space: OpenCLCaptureSpace) {
    self.backend = backend
    self.space = space
    space.add(self)
  }

  private var currentChoice: Choice {
    Choice(isCPUClass: backend.isCPUClass, product: backend.product)
  }

  /// Lets go of what was recorded; the next time is recorded again.
  func forget() { launches = [] }

  func record<Failure>(number: UInt64, _ body: () throws(Failure) -> Void) throws(Failure) {
    backend.lock.lock()
    defer { backend.lock.unlock() }
    guard refusal == nil, backend.isReadyToCapture else { return try body() }
    launches = []
    if choice != currentChoice { plan = nil }
    choice = currentChoice
    // Two times of one number would not tell constant random numbers from those of the number.
    let recording = OpenCLRecording(number, following: plan?.number == number ? nil : plan)
    if let plan = recording.plan {
      do { try space.require(plan.byteCount) } catch {
        // The device has no room for the plan: the work itself may find some.
        refusal = "its memory does not fit the device in one piece"
        return try body()
      }
      recording.arena = space.arena
    }
    backend.recording = recording
    backend.pool.recording = recording
    defer {
      backend.recording = nil
      backend.pool.recording = nil
      recording.isOver = true
      // Something that was let go of last time is kept now: its memory is its own from here on.
      if recording.hasPlannedArrays { space.giveBack() }
      recording.forget()
    }
    try body()
    finish(recording)
  }

  private func finish(_ recording: OpenCLRecording) {
    if recording.isComplete, !recording.hasPlannedArrays {
      launches = recording.launches
      return
    }
    if recording.plan != nil { differences += 1 }
    refusal = recording.refusal
    if refusal == nil, differences == Self.attempts {
      refusal = recording.difference ?? "it does not repeat itself"
    }
    if refusal == nil, recording.script.events.count > Self.largestScript {
      refusal = "it has too many launches"
    }
    plan = refusal == nil ? OpenCLCapturePlan(recording.script, number: recording.number) : nil
  }

  func replay(number: UInt64) throws(DeviceError) -> Bool {
    backend.lock.lock()
    defer { backend.lock.unlock() }
    guard isRecorded, backend.isReadyToCapture, choice == currentChoice else {
      return false
    }
    for launch in launches {
      try launch.set(number: number)
      try backend.enqueue(launch.kernel, launch.grid)
    }
    return true
  }
}

/// One launch of a capture, with all that it needs to be started again.
struct OpenCLRecordedLaunch {
  let kernel: OpenCLPrograms.Kernel
  let grid: Grid
  let keys: [Key]
  /// What its arguments are parts of.
  let memory: OpenCLKeptMemory

  /// An argument that follows the number of the work.
  struct Key {
    let place: OpenCLPlacedKey
    let distance: UInt64
  }

  func set(number: UInt64) throws(DeviceError) {
    for key in keys {
      var value = key.place.key
      value.step = number &+ key.distance
      var arguments = KernelArguments(memory.library, kernel: kernel.handle)
      arguments.position = key.place.position
      try value.seedAndStep.bind(to: &arguments)
    }
  }
}

/// A random key among the arguments of a launch.
struct OpenCLPlacedKey {
  let position: cl_uint
  let key: RandomKey
}

/// Holds a kernel object and the memory that is bound to it: kernels do not.
final class OpenCLKeptMemory {
  let library: OpenCLLibrary
  private let kernel: OpaquePointer
  private var objects: [OpaquePointer] = []
  private var storages: [OpenCLStorage] = []

  init(_ library: OpenCLLibrary, kernel: OpaquePointer) {
    (self.library, self.kernel) = (library, kernel)
  }

  func keep(_ arguments: OpenCLArgumentNotes) {
    (objects, storages) = (arguments.objects, arguments.storages)
    for object in objects { _ = library.api.clRetainMemObject(object) }
  }

  deinit {
    for object in objects { _ = library.api.clReleaseMemObject(object) }
    _ = library.api.clReleaseKernel(kernel)
  }
}
