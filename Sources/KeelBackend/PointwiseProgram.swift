/// A formula as straight-line code: one instruction per distinct subexpression, in an order in
/// which operands come first. Instruction `i` writes register `i`; the last one is the result.
///
/// Devices key their compiled kernels by ``instructions`` alone: constants are parameters.
package struct PointwiseProgram: Sendable {
  package enum Instruction: Hashable, Sendable {
    case input(Int)
    case parameter(Int)
    case unary(UnaryFunction, Int)
    case binary(BinaryFunction, Int, Int)
    case select(Int, Int, Int)
  }

  package private(set) var instructions: [Instruction] = []
  package private(set) var parameters: [Float] = []
  package let inputCount: Int

  package init(_ expression: Expression) {
    inputCount = expression.inputCount
    var registers: [Expression: Int] = [:]
    _ = emit(expression, &registers)
  }

  private mutating func emit(
    _ expression: Expression, _ registers: inout [Expression: Int]
  ) -> Int {
    if let register = registers[expression] { return register }
    let instruction: Instruction
    switch expression {
    case .input(let position): instruction = .input(position)
    case .constant(let value):
      parameters.append(value)
      instruction = .parameter(parameters.count - 1)
    case .unary(let name, let operand):
      instruction = .unary(name.function, emit(operand, &registers))
    case .binary(let name, let left, let right):
      instruction = .binary(name.function, emit(left, &registers), emit(right, &registers))
    case .select(let condition, let then, let otherwise):
      instruction = .select(
        emit(condition, &registers), emit(then, &registers), emit(otherwise, &registers))
    }
    instructions.append(instruction)
    registers[expression] = instructions.count - 1
    return instructions.count - 1
  }
}
