internal import CKeelLoops
internal import Glibc
internal import KeelBackend
internal import Synchronization

/// Memory of the CPU device. It goes back to the pool when the last array on it is gone.
final class CPUStorage: Storage {
  let byteCount: Int
  // Safe: the address never changes, and the contract orders all access to what lies there.
  nonisolated(unsafe) let base: UnsafeMutableRawPointer
  private let capacity: Int
  private let memory: CPUMemory

  fileprivate init(
    _ memory: CPUMemory, base: UnsafeMutableRawPointer, capacity: Int, byteCount: Int
  ) {
    self.memory = memory
    self.base = base
    self.capacity = capacity
    self.byteCount = byteCount
  }

  deinit { memory.release(base, capacity: capacity, byteCount: byteCount) }
}

extension NDArray {
  /// The first element, typed. The one place where arrays become pointers.
  func pointer<Element: BitwiseCopyable>(
    as type: Element.Type = Element.self
  ) -> UnsafeMutablePointer<Element> {
    guard let storage = storage as? CPUStorage else {
      fatalError("an array of another device came to the CPU device")
    }
    return (storage.base + byteOffset).assumingMemoryBound(to: type)
  }

  /// The first element of a float32 array.
  var floats: UnsafeMutablePointer<Float> { pointer() }
}

extension CPUStorage {
  /// The storage as numbers, for scratch memory.
  func pointer<Element: BitwiseCopyable>(
    as type: Element.Type = Element.self
  ) -> UnsafeMutablePointer<Element> {
    base.assumingMemoryBound(to: type)
  }
}

/// The device's pool: memory by size class, kept when arrays end and handed out again.
final class CPUMemory: Sendable {
  private struct State: Sendable {
    var free: [Int: [UInt]] = [:]
    var freeBytes = 0
    var counters = DeviceCounters()
  }

  private let state = Mutex(State())
  /// Requests above it are refused at once: they are mistakes in a shape.
  let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Allocations, live and peak bytes so far.
  var counters: DeviceCounters { state.withLock { $0.counters } }

  func resetPeakBytes() {
    state.withLock { $0.counters.peakBytes = $0.counters.liveBytes }
  }

  /// Memory for `byteCount` bytes, from the pool if it has any of that class.
  func take(_ byteCount: Int) throws(DeviceError) -> CPUStorage {
    guard byteCount <= limit else { throw .outOfMemory(requested: byteCount, available: limit) }
    let capacity = CPUMemory.capacity(byteCount)
    var base = state.withLock { state -> UInt? in
      guard let base = state.free[capacity]?.popLast() else { return nil }
      state.freeBytes -= capacity
      return base
    }.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
    if base == nil {
      base = fresh(capacity)
      guard base != nil else {
        throw .outOfMemory(requested: byteCount, available: HostMemory.availableBytes ?? 0)
      }
      state.withLock { $0.counters.allocations += 1 }
    }
    guard let base else { fatalError("memory vanished between two lines") }
    state.withLock { state in
      state.counters.liveBytes += byteCount
      state.counters.peakBytes = max(state.counters.peakBytes, state.counters.liveBytes)
    }
    return CPUStorage(self, base: base, capacity: capacity, byteCount: byteCount)
  }

  fileprivate func release(_ base: UnsafeMutableRawPointer, capacity: Int, byteCount: Int) {
    let address = UInt(bitPattern: base)
    state.withLock { state in
      state.counters.liveBytes -= byteCount
      state.free[capacity, default: []].append(address)
      state.freeBytes += capacity
    }
  }

  /// Gives all pooled memory back to the system.
  func trim() {
    let addresses = state.withLock { state -> [UInt] in
      let addresses = state.free.values.flatMap { $0 }
      state.free = [:]
      state.freeBytes = 0
      return addresses
    }
    for address in addresses { free(UnsafeMutableRawPointer(bitPattern: address)) }
  }

  deinit { trim() }

  /// Memory from the system; the pool is emptied first where that is needed.
  private func fresh(_ capacity: Int) -> UnsafeMutableRawPointer? {
    // The system promises more than it has: ask it before a big request, not after a kill.
    if capacity >= HostMemory.bigRequest, let available = HostMemory.availableBytes,
      available < capacity
    {
      trim()
      if let available = HostMemory.availableBytes, available < capacity { return nil }
    }
    let largePage = 2 << 20
    let alignment = capacity >= 2 * largePage ? largePage : capacity >= 4096 ? 4096 : 512
    var base: UnsafeMutableRawPointer?
    if posix_memalign(&base, alignment, capacity) != 0 {
      trim()
      guard posix_memalign(&base, alignment, capacity) == 0 else { return nil }
    }
    if alignment == largePage, let base { keel_advise_large_pages(base, capacity) }
    return base
  }

  /// The size class: multiples of 512, from 4 KiB on eight classes per power of two.
  private static func capacity(_ byteCount: Int) -> Int {
    let bytes = max(byteCount, 1)
    let step =
      bytes <= 4096
      ? 512 : max(512, (1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount)) / 8)
    return (bytes + step - 1) / step * step
  }
}
