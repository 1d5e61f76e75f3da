internal import CKeelLoops
package import KeelBackend

extension CPUBackend: GradientTelescopeBackend {
  package func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError) {
    countLaunch()
    let (chunks, count) = (table.chunks.pointer(as: SIMD4<Int32>.self), table.chunkCount)
    let sightStorage = try scratch(max(1, count), of: keel_sight.self)
    let binStorage = try scratch(wantsHistogram ? max(1, 16 * count) : 1, of: Int32.self)
    let (sights, bins) = (
      sightStorage.pointer(as: keel_sight.self), binStorage.pointer(as: Int32.self)
    )
    let gradients = g.floats
    inParts(of: partSize / TelescopeTable.chunk, count) { begin, end in
      for number in begin..<end {
        let (start, elements) = (gradients + Int(chunks[number][0]), Int(chunks[number][1]))
        keel_telescope(start, elements, sights + number)
        if wantsHistogram {
          (bins + 16 * number).update(repeating: 0, count: 16)
          keel_exponents(start, elements, sights + number, bins + 16 * number)
        }
      }
    }
    finish(table, sights, into: reading)
    if wantsHistogram { addBins(table, bins, into: reading.histogram) }
  }

  /// Adds the chunks of each tensor, and the tensors, in turn.
  private func finish(
    _ table: TelescopeTable, _ sights: UnsafePointer<keel_sight>, into reading: TelescopeReading
  ) {
    let tensors = table.tensors.pointer(as: SIMD2<Int32>.self)
    let statistics = reading.statistics.pointer(as: SIMD2<Float>.self)
    let counts = reading.counts.pointer(as: SIMD4<Int32>.self)
    var (all, allFaults, firstFault) = (Sight(), Int32(0), Int32(-1))
    for t in 0..<table.tensorCount {
      var (seen, found) = (Sight(), SIMD4<Int32>.zero)
      for number in Int(tensors[t][0])..<Int(tensors[t][0] + tensors[t][1]) {
        seen.add(squares: sights[number].squares, largest: sights[number].largest)
        let (a, b, c, d) = sights[number].counts
        found &+= SIMD4(a, b, c, d)
      }
      statistics[t] = SIMD2(seen.norm, Float(bitPattern: seen.largest))
      counts[t] = found
      let faults = found[0] + found[1] + found[2]
      if faults > 0, firstFault < 0 { firstFault = Int32(t) }
      allFaults += faults
      all.add(squares: seen.squares, largest: seen.largest)
    }
    reading.summary.pointer(as: SIMD2<Float>.self)[0] = SIMD2(
      all.norm, Float(bitPattern: all.largest))
    reading.faults.pointer(as: SIMD2<Int32>.self)[0] = SIMD2(allFaults, firstFault)
  }

  private func addBins(
    _ table: TelescopeTable, _ bins: UnsafePointer<Int32>, into histogram: NDArray
  ) {
    let tensors = table.tensors.pointer(as: SIMD2<Int32>.self)
    let result: UnsafeMutablePointer<Int32> = histogram.pointer()
    for t in 0..<table.tensorCount {
      for bin in 0..<16 {
        var sum: Int32 = 0
        for number in Int(tensors[t][0])..<Int(tensors[t][0] + tensors[t][1]) {
          sum += bins[16 * number + bin]
        }
        result[16 * t + bin] = sum
      }
    }
  }
}

/// The squares and the largest magnitude of some chunks.
private struct Sight {
  var squares = 0.0
  /// The bits of the magnitude: those of a NaN are above an infinity's, those above the rest's.
  var largest: UInt32 = 0

  mutating func add(squares more: Double, largest other: UInt32) {
    squares += more
    largest = max(largest, other)
  }

  /// The largest element where it is not finite: a NaN wins over an infinity.
  var norm: Float {
    let most = Float(bitPattern: largest)
    return most.isFinite ? Float(squares.squareRoot()) : most
  }
}
