internal import KeelBackend

/// All that the text of a generated kernel depends on; numbers and extents are arguments.
struct PointwiseKernelKey: Hashable {
  struct Input: Hashable {
    /// Its position in the formula.
    let position: Int
    let dtype: DType
    /// Whether it is one element for a whole row, instead of one per column.
    let isOne: Bool
  }

  let instructions: [PointwiseProgram.Instruction]
  let inputs: [Input]
  /// The type of the result: float32 or one of 16 bits.
  let result: DType
  let parameterCount: Int
  /// How many axes enclose the rows' columns; 0 for one flat run.
  let outerRank: Int
  let width: Int
}

extension PointwiseKernelKey {
  /// `pointwise.cl` with the formula put between its marks.
  func text() throws(DeviceError) -> String {
    let template = try KernelSource.of(.pointwise).text
    var lines: [Substring] = []
    var isInside = false
    for line in template.split(separator: "\n", omittingEmptySubsequences: false) {
      if line == "// </formula>" { isInside = false }
      if !isInside { lines.append(line) }
      if line == "// <formula>" {
        isInside = true
        lines.append(contentsOf: formula().split(separator: "\n"))
      }
    }
    return lines.joined(separator: "\n")
  }

  private func formula() -> String {
    let parameters = (0..<parameterCount).map { "const float p\($0)" }
    let arrays = inputs.map { "__global const \($0.dtype.kernelName) *x\($0.position)" }
    let values = inputs.map { "const floats x\($0.position)" } + parameters
    let numbers = (0..<parameterCount).map { "p\($0)" }
    func call(_ offset: (Input) -> String) -> String {
      let operands = inputs.map { input in
        let type = input.dtype.kernelName
        let address = "x\(input.position)\(offset(input))"
        return input.isOne ? "ONE(\(type), \(address))" : "EACH(\(type), \(address) + i)"
      }
      return "formula(\((operands + numbers).joined(separator: ", ")))"
    }
    // Never empty: a formula has at least one input or number.
    let arguments = arrays + parameters
    return """
      #define RESULT \(result.kernelName)
      #define ARGUMENTS \(arguments.joined(separator: ", "))
      #define OUTER_ARGUMENTS \(outerArguments)
      #define OFFSETS \(offsets)
      #define VALUES(EACH, i) \(call { _ in "" })
      #define ROW_VALUES(EACH, i) \(call { " + o\($0.position)" })
      static inline floats formula(\(values.joined(separator: ", ")))
      {
      \(body)
      }
      """
  }

  private var outerArguments: String {
    let extents = (1..<max(1, outerRank)).map { "const uint extent\($0)" }
    let strides = inputs.flatMap { input in
      (0..<max(1, outerRank)).map { "const uint stride\(input.position)_\($0)" }
    }
    return (extents + strides).map { ", \($0)" }.joined()
  }

  /// Statements that give the start of `row` in every input.
  private var offsets: String {
    var statements = ["uint rest = row;"]
    for axis in (1..<max(1, outerRank)).reversed() {
      statements.append("const uint i\(axis) = rest % extent\(axis); rest /= extent\(axis);")
    }
    statements.append("const uint i0 = rest;")
    for input in inputs {
      let terms = (0..<max(1, outerRank)).map { "(size_t)i\($0) * stride\(input.position)_\($0)" }
      statements.append("const size_t o\(input.position) = \(terms.joined(separator: " + "));")
    }
    return statements.joined(separator: " ")
  }

  private var body: String {
    let statements = instructions.enumerated().map { register, instruction in
      "  const floats r\(register) = \(Self.text(of: instruction));"
    }
    return (statements + ["  return r\(instructions.count - 1);"]).joined(separator: "\n")
  }

  private static func text(of instruction: PointwiseProgram.Instruction) -> String {
    switch instruction {
    case .input(let position): "x\(position)"
    case .parameter(let position): "(floats)(p\(position))"
    case .unary(let function, let operand): function.kernelText("r\(operand)")
    case .binary(let function, let left, let right):
      function.kernelText("r\(left)", "r\(right)")
    case .select(let condition, let then, let otherwise):
      // A NaN differs from 0, so it takes the first branch.
      "r\(condition) != 0.0f ? r\(then) : r\(otherwise)"
    }
  }
}

extension DType {
  /// The element's type in OpenCL C; those of 16 bits travel as their bits.
  var kernelName: String {
    switch self {
    case .float32: "float"
    case .int32: "int"
    case .uint8: "uchar"
    case .float16, .bfloat16: "ushort"
    }
  }
}

extension UnaryFunction {
  fileprivate func kernelText(_ x: String) -> String {
    switch self {
    case .negate: "-\(x)"
    case .abs: "fabs(\(x))"
    // What is neither above nor below is 0 or NaN, and stays.
    case .sign:
      "\(x) > 0.0f ? (floats)(1.0f) : (\(x) < 0.0f ? (floats)(-1.0f) : \(x))"
    case .sqrt, .exp, .expm1, .log, .log1p, .tanh: "\(rawValue)(\(x))"
    case .erf: "error_function(\(x))"
    case .sigmoid: "1.0f / (1.0f + exp(-\(x)))"
    case .reciprocal: "1.0f / \(x)"
    case .roundedToHalf: "rounded_to_half(\(x))"
    }
  }
}

extension BinaryFunction {
  fileprivate func kernelText(_ a: String, _ b: String) -> String {
    func truth(_ comparison: String) -> String {
      "(\(a) \(comparison) \(b)) ? (floats)(1.0f) : (floats)(0.0f)"
    }
    switch self {
    case .add: return "\(a) + \(b)"
    case .subtract: return "\(a) - \(b)"
    case .multiply: return "\(a) * \(b)"
    case .divide: return "\(a) / \(b)"
    case .power: return "raised(\(a), \(b))"
    // fmax drops a NaN. Here a NaN in a is kept by the second test, one in b fails the first.
    case .maximum: return "((\(a) > \(b)) | (\(a) != \(a))) ? \(a) : \(b)"
    case .minimum: return "((\(a) < \(b)) | (\(a) != \(a))) ? \(a) : \(b)"
    case .less: return truth("<")
    case .lessOrEqual: return truth("<=")
    case .greater: return truth(">")
    case .greaterOrEqual: return truth(">=")
    case .equal: return truth("==")
    case .notEqual: return truth("!=")
    }
  }
}
