/// Seconds as `0:07`, `12:03` or `1:02:03`.
package func clock(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds < 1e9 else { return "-" }
  let all = Int(max(0, seconds).rounded())
  func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60)
  return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}
