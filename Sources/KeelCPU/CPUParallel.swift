internal import CKeelLoops
internal import Dispatch

/// Elements per part of a loop: a quarter of a second-level cache. Parts depend on sizes only, so
/// that results are the same on any number of cores.
let partSize = 32_768

/// Runs `body` for 0 ..< count on all cores and waits.
package func concurrently(_ count: Int, _ body: (Int) -> Void) {
  guard count > 1 else {
    if count == 1 { body(0) }
    return
  }
  withoutActuallyEscaping(body) { body in
    let work = Work(body: body)
    let context = Unmanaged.passUnretained(work).toOpaque()
    let ran = keel_parallel(
      count,
      { context, index in
        guard let context else { return }
        Unmanaged<Work>.fromOpaque(context).takeUnretainedValue().body(index)
      }, context)
    if !ran { DispatchQueue.concurrentPerform(iterations: count) { work.body($0) } }
    withExtendedLifetime(work) {}
  }
}

/// What crosses into C: a closure needs an address.
// Safe: it lives for one call; parts write to places of their own.
private final class Work: @unchecked Sendable {
  let body: (Int) -> Void
  init(body: @escaping (Int) -> Void) { self.body = body }
}

/// Runs `body(begin, end)` over 0 ..< count in parts of `part`.
func inParts(of part: Int, _ count: Int, _ body: (_ begin: Int, _ end: Int) -> Void) {
  concurrently((count + part - 1) / part) { index in
    body(index * part, min(count, (index + 1) * part))
  }
}

/// Runs `body(begin, end)` over rows of `columns` elements, about ``partSize`` elements at a time.
func inRows(_ rows: Int, columns: Int, _ body: (_ begin: Int, _ end: Int) -> Void) {
  inParts(of: max(1, partSize / max(1, columns)), rows, body)
}

/// Writes numbers to the front of a C array, which Swift sees as a tuple.
func store<Element: BitwiseCopyable, Tuple>(_ values: [Element], in tuple: inout Tuple) {
  withUnsafeMutableBytes(of: &tuple) { bytes in
    values.withUnsafeBytes { bytes.copyMemory(from: $0) }
  }
}
