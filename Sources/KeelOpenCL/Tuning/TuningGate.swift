package import KeelBackend

/// What a candidate must pass before anybody takes its time: results in double precision on odd
/// shapes, sentinels around every array, values that are no numbers, two equal runs, and the
/// planning function's results on the shape itself.
package final class TuningGate {
  /// Computes a subject of the operands, bias and activation into the result.
  package typealias Run = (
    _ subject: TuningSubject, _ arrays: TuningArrays
  ) throws(DeviceError) -> Void

  let backend: OpenCLBackend
  let seed: UInt64
  /// Odd shapes for each candidate.
  private let shapes = 4
  /// What the planning function computes of the last subject, and the largest sum of |terms|.
  private var known: (subject: TuningSubject, expected: [Double], largest: Double)?

  package init(_ backend: OpenCLBackend, seed: UInt64) {
    self.backend = backend
    self.seed = seed
  }

  /// Why the candidate is wrong, or nil if nothing was found.
  ///
  /// - Parameter plan: what it can compute; nil is everything.
  package func refusal(
    of run: Run, plan: TunedPlan?, for subject: TuningSubject
  ) throws(DeviceError) -> String? {
    let odd = subject.oddShapes(
      shapes, for: plan, seed: seed, isCPUClass: backend.isCPUClass, limits: backend.limits)
    for (index, shape) in odd.enumerated() {
      let problem = TuningProblem(shape, seed: seed &+ UInt64(index))
      let largest = problem.magnitudes.reference().reduce(0, max)
      if let wrong = try refusal(of: run, problem, expected: problem.reference(), largest) {
        return wrong
      }
      if let wrong = try refusalOfNaN(run, problem, plan) { return wrong }
    }
    let problem = TuningProblem(subject, seed: seed)
    let (expected, largest) = try results(of: problem)
    return try refusal(of: run, problem, expected: expected, largest)
  }

  /// What the planning function's kernels compute of a subject that may be large.
  private func results(
    of problem: TuningProblem
  ) throws(DeviceError) -> (expected: [Double], largest: Double) {
    if let known, known.subject == problem.subject { return (known.expected, known.largest) }
    let formula = backend.formula(problem.subject)
    let expected = try backend.guarded(problem, formula).values.map { Double($0) }
    let terms = try backend.guarded(problem.magnitudes, formula).values
    let largest = Double(terms.reduce(0, max))
    known = (problem.subject, expected, largest)
    return (expected, largest)
  }

  private func refusal(
    of run: Run, _ problem: TuningProblem, expected: [Double], _ largest: Double
  ) throws(DeviceError) -> String? {
    let (values, overrun) = try backend.guarded(problem, run)
    if let overrun { return "on \(problem.subject) it writes outside \(overrun)" }
    let bound = Self.bound(problem.subject, largest: largest)
    for (index, value) in values.enumerated() where !(abs(Double(value) - expected[index]) <= bound)
    {
      return "on \(problem.subject) element \(index) is \(value), expected \(expected[index])"
    }
    let again = try backend.guarded(problem, run).values
    if again.map(\.bitPattern) != values.map(\.bitPattern) {
      return "on \(problem.subject) two runs differ"
    }
    return nil
  }

  /// What is no number must reach every result that reads it, and no other, but for Winograd's
  /// tiles, whose results share their terms.
  private func refusalOfNaN(
    _ run: Run, _ problem: TuningProblem, _ plan: TunedPlan?
  ) throws(DeviceError) -> String? {
    var problem = problem
    problem.left[problem.left.count / 2] = .nan
    let expected = problem.reference()
    let values = try backend.guarded(problem, run).values
    var spreads = false
    if case .convolution2D(.winograd) = plan { spreads = true }
    for (index, value) in values.enumerated() {
      if expected[index].isNaN && !value.isNaN {
        return "on \(problem.subject) element \(index) reads NaN and is \(value)"
      }
      if value.isNaN && !expected[index].isNaN && !spreads {
        return "on \(problem.subject) element \(index) is NaN and reads none"
      }
    }
    return nil
  }

  /// Errors of sums grow with the root of their terms, relative to the largest sum of |terms|;
  /// Winograd's transforms add 26 units. One lost term is far outside.
  private static func bound(_ subject: TuningSubject, largest: Double) -> Double {
    0x1p-24 * (64 + 8 * Double(subject.terms).squareRoot()) * largest + 1e-30
  }
}

/// The arrays of one run.
package struct TuningArrays {
  package let left: NDArray
  package let right: NDArray
  package let bias: NDArray?
  package let result: NDArray

  var epilogue: Epilogue {
    bias.map { Epilogue(bias: $0, activation: TuningProblem.activation) } ?? .none
  }
}

extension OpenCLBackend {
  package func formula(_ subject: TuningSubject) -> Run {
    run(by: .formula(subject, isCPUClass: isCPUClass, limits: limits), adapts: true)
  }

  package typealias Run = TuningGate.Run

  /// A run by a plan; if it adapts, by the planning function's plan for each subject.
  package func run(by plan: TunedPlan, adapts: Bool = false) -> Run {
    { (subject: TuningSubject, arrays: TuningArrays) throws(DeviceError) in
      let plan =
        adapts
        ? TunedPlan.formula(subject, isCPUClass: self.isCPUClass, limits: self.limits) : plan
      switch (subject, plan) {
      case (.matmul(let geometry), .matmul(let plan)):
        try self.matmul(
          arrays.left, arrays.right, geometry, arrays.epilogue, into: arrays.result, by: plan)
      case (.convolution2D(let geometry, .forward), .convolution2D(let plan)):
        try self.convolution2D(
          arrays.left, filter: arrays.right, geometry, arrays.epilogue, into: arrays.result,
          by: plan)
      case (.convolution2D(let geometry, .inputGradient), .convolution2D(let plan)):
        try self.convolution2DInputGradient(
          upstream: arrays.left, filter: arrays.right, geometry, into: arrays.result, by: plan)
      case (.convolution2D(let geometry, .filterGradient), .convolution2D(let plan)):
        try self.convolution2DFilterGradient(
          arrays.left, upstream: arrays.right, geometry, into: arrays.result, by: plan)
      default:
        throw .unsupported(operation: "\(subject)", reason: "the plan is another operation's")
      }
    }
  }

  /// Runs a problem between sentinels: its result, and the array outside which something was
  /// written, if any. Operands are followed by bytes that read as NaN; the result begins as NaN.
  package func guarded(
    _ problem: TuningProblem, _ run: Run
  ) throws(DeviceError) -> (values: [Float], overrun: String?) {
    let shapes = problem.subject.shapes
    let left = try GuardedArray(problem.left, shapes.left, on: self)
    let right = try GuardedArray(problem.right, shapes.right, on: self)
    let bias =
      try problem.bias.isEmpty
      ? nil : GuardedArray(problem.bias, [problem.bias.count], on: self)
    let empty = [Float](repeating: .nan, count: shapes.result.count)
    let result = try GuardedArray(empty, shapes.result, on: self)
    try run(
      problem.subject,
      TuningArrays(
        left: left.array, right: right.array, bias: bias?.array, result: result.array))
    let values: [Float] = try scalars(result.array)
    var overrun: String?
    for (name, array) in [
      ("the result", result), ("the left operand", left),
      ("the right operand", right),
    ] where try !array.isIntact(on: self) { overrun = name }
    return (values, overrun)
  }
}

/// An array between bytes of all ones.
private struct GuardedArray {
  private static let margin = NDArray.alignment
  private let whole: NDArray
  let array: NDArray

  init(_ values: [Float], _ shape: Shape, on backend: OpenCLBackend) throws(DeviceError) {
    let payload = 4 * values.count
    whole = try backend.allocate([2 * Self.margin + payload], .uint8)
    var bytes = [UInt8](repeating: 0xFF, count: whole.byteCount)
    bytes.withUnsafeMutableBytes { all in
      values.withUnsafeBytes { numbers in
        UnsafeMutableRawBufferPointer(rebasing: all[Self.margin..<(Self.margin + payload)])
          .copyMemory(from: numbers)
      }
    }
    try backend.upload(bytes, to: whole)
    array = NDArray(
      storage: whole.storage, byteOffset: Self.margin, shape: shape, dtype: .float32)
  }

  func isIntact(on backend: OpenCLBackend) throws(DeviceError) -> Bool {
    let bytes: [UInt8] = try backend.scalars(whole)
    return bytes.prefix(Self.margin).allSatisfy { $0 == 0xFF }
      && bytes.suffix(Self.margin).allSatisfy { $0 == 0xFF }
  }
}
