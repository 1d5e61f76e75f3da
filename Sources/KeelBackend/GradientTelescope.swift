/// Where the tensors of an arena lie, cut into chunks that one team of work-items measures.
///
/// Chunks depend on the tensors alone, never on the device: sums have the same shape everywhere.
package struct TelescopeTable: Sendable {
  /// The most elements of a chunk.
  package static let chunk = 8192

  /// Chunks x 4, int32: first element, elements, tensor, 0; the chunks of a tensor in turn.
  package let chunks: NDArray
  /// Tensors x 2, int32: first chunk, chunks.
  package let tensors: NDArray

  package var chunkCount: Int { chunks.shape[0] }
  package var tensorCount: Int { tensors.shape[0] }

  /// The table of tensors at the given places, each a multiple of ``ArenaBlock/count``.
  package init(
    _ places: [(offset: Int, count: Int)], on backend: any Backend
  ) throws(DeviceError) {
    let rows = TelescopeTable.rows(places)
    chunks = try backend.array(rows.chunks, shape: [rows.chunks.count / 4, 4])
    tensors = try backend.array(rows.tensors, shape: [places.count, 2])
  }

  /// A table whose rows are on the device.
  package init(chunks: NDArray, tensors: NDArray) {
    precondition(chunks.count % 4 == 0 && tensors.count % 2 == 0)
    self.chunks = chunks
    self.tensors = tensors
  }

  /// The rows of a table, one after the other.
  package static func rows(
    _ places: [(offset: Int, count: Int)]
  ) -> (chunks: [Int32], tensors: [Int32]) {
    var (chunks, tensors) = ([Int32](), [Int32]())
    for (number, place) in places.enumerated() {
      let first = chunks.count / 4
      for start in stride(from: 0, to: place.count, by: TelescopeTable.chunk) {
        let count = min(TelescopeTable.chunk, place.count - start)
        chunks += [Int32(place.offset + start), Int32(count), Int32(number), 0]
      }
      tensors += [Int32(first), Int32(chunks.count / 4 - first)]
    }
    return (chunks, tensors)
  }
}

/// What the telescope sees of every tensor, and of all together.
package struct TelescopeReading: Sendable {
  /// Tensors x 2, float32: norm, largest magnitude. A NaN in the tensor makes both NaN, an
  /// infinity makes them infinite.
  package let statistics: NDArray
  /// Tensors x 4, int32: elements that are NaN, +infinity, -infinity, 0 (of either sign).
  package let counts: NDArray
  /// Tensors x 16, int32: how many finite elements that are not 0 have a magnitude in
  /// 2^(16 k - 128) ..< 2^(16 k - 112), k = 0 ... 15; smaller ones count in the first.
  package let histogram: NDArray
  /// 2, float32: norm and largest magnitude of all tensors together.
  package let summary: NDArray
  /// 2, int32: elements that are not finite, and the first tensor that has one, or -1.
  package let faults: NDArray

  /// Memory for the reading of so many tensors, its statistics where the caller wants them.
  package init(
    tensors: Int, statistics: NDArray? = nil, on backend: any Backend
  ) throws(DeviceError) {
    if let statistics {
      self.statistics = statistics
    } else {
      self.statistics = try backend.allocate([tensors, 2], .float32)
    }
    counts = try backend.allocate([tensors, 4], .int32)
    histogram = try backend.allocate([tensors, 16], .int32)
    summary = try backend.allocate([2], .float32)
    faults = try backend.allocate([2], .int32)
  }

  /// A reading in the given arrays.
  package init(
    statistics: NDArray, counts: NDArray, histogram: NDArray, summary: NDArray, faults: NDArray
  ) {
    self.statistics = statistics
    self.counts = counts
    self.histogram = histogram
    self.summary = summary
    self.faults = faults
  }

  package var tensorCount: Int { statistics.count / 2 }
}

/// Everything that training wants to know of its gradients, in one pass over them.
package protocol GradientTelescopeBackend {
  /// Measures every tensor of the arena `g`; see ``TelescopeReading`` for what is written.
  ///
  /// Norms neither overflow nor underflow: gradients of 1e20 and 1e-24 give exact norms (three
  /// accumulators by magnitude, Blue 1978). The trees are fixed: two runs are bit-equal. The host
  /// reads nothing.
  ///
  /// - Parameters:
  ///   - g: float32, the arena; what lies between tensors is not read.
  ///   - wantsHistogram: whether the histogram is written; it costs as much as the rest.
  func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError)
}
