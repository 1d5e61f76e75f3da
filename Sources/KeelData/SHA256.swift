/// The SHA-256 sum (FIPS 180-4), here because the only use is checking four downloaded files and
/// a cryptography package would be larger than all of Keel.
package struct SHA256 {
  /// Eight words of the sum.
  package struct Digest: Hashable, Sendable, CustomStringConvertible {
    var words = SIMD8<UInt32>(
      0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
      0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19)

    /// 64 lower-case hexadecimal digits.
    package var description: String {
      let digits = Array("0123456789abcdef")
      return words.indices.reduce(into: "") { text, lane in
        for shift in stride(from: 28, through: 0, by: -4) {
          text.append(digits[Int(words[lane] >> UInt32(shift) & 15)])
        }
      }
    }
  }

  private var digest = Digest()
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  /// Begins with nothing.
  package init() {}

  /// The sum of one piece of memory.
  package static func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
    var sum = SHA256()
    sum.update(bytes)
    return sum.finish()
  }

  /// The sum of some bytes.
  package static func digest(of bytes: [UInt8]) -> Digest {
    bytes.withUnsafeBytes { digest(of: $0) }
  }

  /// Takes more bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length += UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let missing = min(64 - pending.count, rest.count)
      pending += rest.prefix(missing)
      rest = rest.dropFirst(missing)
      guard pending.count == 64 else { return }
      pending.withUnsafeBytes { digest.absorb($0) }
      pending.removeAll(keepingCapacity: true)
    }
    while rest.count >= 64 {
      digest.absorb(UnsafeRawBufferPointer(rebasing: rest.prefix(64)))
      rest = rest.dropFirst(64)
    }
    pending += rest
  }

  /// The sum of all bytes taken: pads with a one bit, zeros and the length in bits.
  package consuming func finish() -> Digest {
    let bits = length &* 8
    var padding: [UInt8] = [0x80]
    padding += [UInt8](repeating: 0, count: (119 - Int(length % 64)) % 64)
    for shift in stride(from: 56, through: 0, by: -8) {
      padding.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
    }
    padding.withUnsafeBytes { update($0) }
    return digest
  }
}

extension SHA256.Digest {
  /// One round of compression over a block of 64 bytes.
  mutating func absorb(_ block: UnsafeRawBufferPointer) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
      for i in 0..<16 {
        schedule[i] = UInt32(
          bigEndian: block.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
      }
      for i in 16..<64 {
        let (early, late) = (schedule[i - 15], schedule[i - 2])
        let low = rotate(early, 7) ^ rotate(early, 18) ^ (early >> 3)
        let high = rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10)
        schedule[i] = schedule[i - 16] &+ low &+ schedule[i - 7] &+ high
      }
      var (a, b, c, d) = (words[0], words[1], words[2], words[3])
      var (e, f, g, h) = (words[4], words[5], words[6], words[7])
      for i in 0..<64 {
        let choice = (e & f) ^ (~e & g)
        let majority = (a & b) ^ (a & c) ^ (b & c)
        let first =
          h &+ (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) &+ choice &+ roundConstants[i]
          &+ schedule[i]
        let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
        (h, g, f, e) = (g, f, e, d &+ first)
        (d, c, b, a) = (c, b, a, first &+ second)
      }
      words &+= SIMD8(a, b, c, d, e, f, g, h)
    }
  }
}

@inline(__always)
private func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
  (word >> count) | (word << (32 - count))
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
private let roundConstants: [UInt32] = primeCubeRoots()

/// Derived rather than listed: floor(2^32 * cbrt(p)) mod 2^32, by bisection in whole numbers.
private func primeCubeRoots() -> [UInt32] {
  var primes: [UInt64] = []
  var candidate: UInt64 = 2
  while primes.count < 64 {
    if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
    candidate += 1
  }
  return primes.map { prime in
    // The largest x with x^3 <= prime * 2^96; x < 2^35 since cbrt(311) < 8.
    var (low, high): (UInt64, UInt64) = (0, 1 << 35)
    while high - low > 1 {
      let middle = (low + high) / 2
      let cube = UInt128(middle) * UInt128(middle) * UInt128(middle)
      if cube <= UInt128(prime) << 96 { low = middle } else { high = middle }
    }
    return UInt32(truncatingIfNeeded: low)
  }
}
