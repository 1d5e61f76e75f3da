import Glibc

/// A number with a fixed count of decimals, such as `0.1234`.
package func fixed(_ value: Double, _ decimals: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var factor = 1.0
  for _ in 0..<decimals { factor *= 10 }
  let scaled = (value.magnitude * factor).rounded()
  guard scaled < 9e15 else { return "\(value)" }
  let number = Int(scaled)
  let sign = value < 0 && number != 0 ? "-" : ""
  guard decimals > 0 else { return sign + "\(number)" }
  let digits = String(number)
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}

/// A number with about four digits whatever its size, such as `0.01234` or `1.2e-7`.
package func short(_ value: Double) -> String {
  guard value.isFinite else { return "\(value)" }
  let size = value.magnitude
  if size == 0 { return "0" }
  if size >= 1000 { return size < 1e6 ? fixed(value, 0) : scientific(value) }
  if size >= 1e-3 { return fixed(value, size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5) }
  return scientific(value)
}

private func scientific(_ value: Double) -> String {
  var (mantissa, exponent) = (value, 0)
  while mantissa.magnitude >= 10 {
    mantissa /= 10
    exponent += 1
  }
  while mantissa.magnitude < 1 {
    mantissa *= 10
    exponent -= 1
  }
  return "\(fixed(mantissa, 2))e\(exponent)"
}

/// Seconds as `0:07`, `12:03` or `1:02:03`.
package func clock(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds < 1e9 else { return "-" }
  let all = Int(max(0, seconds).rounded())
  func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60)
  return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}

/// e to the power of x.
func exponential(_ x: Double) -> Double { exp(x) }
