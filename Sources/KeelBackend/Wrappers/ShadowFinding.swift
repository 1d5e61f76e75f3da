/// A launch whose results differ from the reference device's by more than rounding explains.
public struct ShadowFinding: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The operation's family, such as `matmul`.
  public var operation: String
  /// The method of the contract, such as `convolution2DFilterGradient`.
  public var method: String
  /// The number of the launch among all launches, from 1.
  public var launch: UInt64
  /// The extents of the arrays that were read.
  public var inputShapes: [[Int]]
  /// The extents of the arrays that were written.
  public var outputShapes: [[Int]]
  /// Which of the outputs differs most.
  public var output: Int
  /// The position of the element that differs most, row-major.
  public var index: Int
  /// What the device gave there, as text: it may be no number.
  public var got: String
  /// What the reference device gave.
  public var expected: String
  /// The distance in units in the last place; nil where one of them is not finite.
  public var ulps: Double?
  /// The error as a multiple of what rounding explains; nil where that is not a number.
  public var scaledError: Double?
  /// How many elements differ by more than rounding explains.
  public var wrongCount: Int

  /// One sentence, such as `shadow: matmul on 64x784 and 784x128 gave 0.0 instead of 1.25 at
  /// element 8191 of output 0 (128 elements wrong, launch 312)`.
  public var description: String {
    let shapes = inputShapes.map { shape in
      shape.isEmpty ? "a scalar" : shape.map(String.init).joined(separator: "x")
    }.joined(separator: " and ")
    var errors: [String] = []
    if let ulps { errors.append("\(ulps.compact()) ulp") }
    if let scaledError { errors.append("\(scaledError.compact()) times what rounding explains") }
    let error = errors.isEmpty ? "" : ", " + errors.joined(separator: ", ")
    return "shadow: \(method) on \(shapes.isEmpty ? "nothing" : shapes) gave \(got) instead of "
      + "\(expected) at element \(index) of output \(output)\(error) "
      + "(\(wrongCount.grouped) elements wrong, launch \(launch))"
  }
}

/// What a shadow does about a launch that is wrong, beside noting it.
public enum ShadowPolicy: String, Hashable, Sendable, Codable, CaseIterable {
  /// Nothing: the run goes on with the device's results.
  case report
  /// The operation throws ``DeviceError/wrongResult(finding:)``.
  case raise
  /// The reference device's results are used, and its method for the rest of the run.
  case reroute
}

/// What a shadow has seen so far.
public struct ShadowReport: Hashable, Sendable, Codable {
  /// All launches.
  public var launches: UInt64 = 0
  /// Launches that were compared.
  public var checks: UInt64 = 0
  /// How often each method was compared.
  public var checksByMethod: [String: UInt64] = [:]
  /// The first findings, at most 64.
  public var findings: [ShadowFinding] = []
  /// All findings, those beyond the first 64 included.
  public var findingCount: UInt64 = 0
  /// How often each method ran on the reference device since it was found wrong.
  public var reroutedCalls: [String: UInt64] = [:]

  /// A report of nothing.
  public init() {}
}

extension ShadowReport: CustomStringConvertible {
  /// A line, and one more for each finding and each method that was replaced.
  public var description: String {
    var lines = [
      "shadow: \(Int(clamping: checks).grouped) of \(Int(clamping: launches).grouped) launches "
        + "compared with the CPU, \(findingCount == 0 ? "none" : "\(findingCount)") wrong"
    ]
    lines += findings.prefix(8).map { "  \($0)" }
    if findingCount > 8 { lines.append("  and \(findingCount - 8) more") }
    for (method, calls) in reroutedCalls.sorted(by: { $0.key < $1.key }) {
      lines.append("  \(method) ran on the CPU instead, \(calls) times")
    }
    return lines.joined(separator: "\n")
  }
}
