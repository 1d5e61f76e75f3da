internal import KeelBackend

/// Where the arrays of a capture lie that do not outlive it: each in a part of one buffer, arrays
/// that are never needed at the same time in the same part.
struct OpenCLCapturePlan {
  let script: OpenCLCaptureScript
  /// The number of the run that was watched.
  let number: UInt64
  /// The first byte of each array; nil of those that outlive the work and have their own memory.
  let offsets: [Int?]
  let byteCount: Int

  /// Places large arrays first, each at the lowest place that is free during its life.
  init(_ script: OpenCLCaptureScript, number: UInt64) {
    self.script = script
    self.number = number
    let lives = script.lives
    var offsets = [Int?](repeating: nil, count: lives.count)
    var placed: [(start: Int, end: Int, place: Range<Int>)] = []
    var total = 0
    let order = lives.indices.sorted {
      lives[$0].bytes != lives[$1].bytes
        ? lives[$0].bytes > lives[$1].bytes : lives[$0].start < lives[$1].start
    }
    for array in order {
      let life = lives[array]
      guard let end = life.end else { continue }
      let size = ceilDivide(life.bytes, NDArray.alignment) * NDArray.alignment
      let taken =
        placed
        .filter { $0.start < end && life.start < $0.end }
        .map(\.place).sorted { $0.lowerBound < $1.lowerBound }
      var offset = 0
      for place in taken where place.upperBound > offset {
        if place.lowerBound >= offset + size { break }
        offset = place.upperBound
      }
      offsets[array] = offset
      placed.append((life.start, end, offset..<(offset + size)))
      total = max(total, offset + size)
    }
    self.offsets = offsets
    byteCount = total
  }
}

/// One buffer for the intermediate results of all captures of a training.
final class OpenCLCaptureSpace: CaptureSpace {
  private(set) var arena: OpaquePointer?
  private var byteCount = 0
  private let pool: OpenCLMemoryPool
  private var captures: [Member] = []

  private struct Member {
    weak var capture: OpenCLCapture?
  }

  init(_ pool: OpenCLMemoryPool) {
    self.pool = pool
    pool.add(self)
  }

  deinit { pool.release(arena: arena, byteCount) }

  func add(_ capture: OpenCLCapture) {
    captures.removeAll { $0.capture == nil }
    captures.append(Member(capture: capture))
  }

  /// Sees to it that there are so many bytes. Where that takes a new buffer, all captures are
  /// recorded again.
  func require(_ bytes: Int) throws(DeviceError) {
    guard bytes > byteCount else { return }
    giveBack()
    arena = try pool.arena(bytes)
    byteCount = bytes
  }

  /// Lets go of the memory, which stays as long as arrays lie in it; captures are recorded again.
  func giveBack() {
    for member in captures { member.capture?.forget() }
    pool.release(arena: arena, byteCount)
    (arena, byteCount) = (nil, 0)
  }
}
