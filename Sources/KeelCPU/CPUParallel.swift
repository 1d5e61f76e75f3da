internal import Dispatch

/// Elements per part of a loop: a quarter of a second-level cache. Parts depend on sizes only, so
/// that results are the same on any number of cores.
let partSize = 32_768

/// Runs `body` for 0 ..< count on all cores and waits.
///
/// Dispatch's threads, although oneDNN brings an OpenMP pool: that one waits for every thread to
/// arrive even where the caller has done all the work, which costs milliseconds on a busy machine.
package func concurrently(_ count: Int, _ body: (Int) -> Void) {
  guard count > 1 else {
    if count == 1 { body(0) }
    return
  }
  withoutActuallyEscaping(body) { body in
    let work = Work(body: body)
    DispatchQueue.concurrentPerform(iterations: count) { work.body($0) }
  }
}

// Safe: it lives for one call, and parts write to places of their own.
private struct Work: @unchecked Sendable {
  let body: (Int) -> Void
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
