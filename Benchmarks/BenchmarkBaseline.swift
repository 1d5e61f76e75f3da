internal import FoundationEssentials
internal import Glibc
internal import KeelBackend

/// A run that another is compared with.
package struct BenchmarkBaseline: Sendable {
  private let milliseconds: [String: Double]

  /// Reads the file that `keel bench --json` has written.
  package init(_ bytes: [UInt8]) throws {
    let report = try JSONDecoder().decode(BenchmarkReport.self, from: Data(bytes))
    milliseconds = Dictionary(
      report.results.map { ($0.id, $0.milliseconds) }, uniquingKeysWith: { first, _ in first })
  }

  /// The baseline's time over this one's: above 1 is faster. Nil where it does not have the case.
  package func ratio(_ result: BenchmarkResult) -> Double? {
    milliseconds[result.id].map { $0 / result.milliseconds }
  }

  /// The geometric mean of the ratios, and the slowest case; nil where no case is in both.
  package func summary(_ results: [BenchmarkResult]) -> String? {
    let ratios = results.compactMap { result in ratio(result).map { (result.id, $0) } }
    guard let slowest = ratios.min(by: { $0.1 < $1.1 }) else { return nil }
    let mean = exp(ratios.reduce(0) { $0 + log($1.1) } / Double(ratios.count))
    return "against the baseline: \(mean.fixed(2)) times as fast over \(ratios.count) benchmarks "
      + "(geometric mean), \(slowest.1.fixed(2)) in \(slowest.0)"
  }
}
