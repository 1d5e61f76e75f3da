internal import CKeelLoops
internal import KeelBackend
internal import Synchronization

/// A formula as the interpreter in C reads it: steps between slots.
///
/// Slots are the inputs, then the parameters, then as few registers as the formula needs, so that
/// all of them stay in the first-level cache.
final class PointwisePlan: Sendable {
  let inputCount: Int
  let slotCount: Int
  private let steps: [Step]
  private let parameters: [Float]

  /// One step; operands and destination are slots, and slot -1 is the output.
  private struct Step: Sendable {
    var function: keel_function
    var destination: Int
    var operands: [Int]
  }

  init(_ expression: Expression) {
    let program = PointwiseProgram(expression)
    inputCount = program.inputCount
    parameters = program.parameters
    var registers = Registers(program)
    var steps: [Step] = []
    for (index, instruction) in program.instructions.enumerated() {
      guard let (function, operands) = instruction.work else { continue }
      let slots = operands.map { registers.slot($0) }
      let isLast = index == program.instructions.count - 1
      let destination = registers.assign(index, isLast: isLast, freeing: operands)
      steps.append(Step(function: function, destination: destination, operands: slots))
    }
    if steps.isEmpty {
      // The formula is an input or a number by itself.
      let source = registers.slot(program.instructions.count - 1)
      steps = [Step(function: KEEL_COPY, destination: -1, operands: [source])]
    }
    self.steps = steps
    slotCount = registers.slotCount
  }

  func withInstructions(
    _ body: (UnsafeBufferPointer<keel_step>, UnsafeBufferPointer<Float>) -> Void
  ) {
    let compiled = steps.map { step in
      // Operands that a function does not have repeat the first: any readable slot will do.
      keel_step(
        function: Int32(bitPattern: step.function.rawValue),
        destination: Int32(step.destination), first: Int32(step.operands[0]),
        second: Int32(step.operands[step.operands.count > 1 ? 1 : 0]),
        third: Int32(step.operands[step.operands.count > 2 ? 2 : 0]))
    }
    compiled.withUnsafeBufferPointer { steps in
      parameters.withUnsafeBufferPointer { body(steps, $0) }
    }
  }

  /// Which slot holds the result of each instruction.
  private struct Registers {
    private var slots: [Int]
    private var lastUse: [Int]
    private var free: [Int] = []
    private let firstRegister: Int
    private(set) var slotCount: Int

    init(_ program: PointwiseProgram) {
      firstRegister = program.inputCount + program.parameters.count
      slotCount = firstRegister
      slots = program.instructions.map { instruction in
        switch instruction {
        case .input(let position): position
        case .parameter(let position): program.inputCount + position
        default: -1
        }
      }
      lastUse = slots.indices.map { $0 }
      for (index, instruction) in program.instructions.enumerated() {
        for operand in instruction.work?.operands ?? [] { lastUse[operand] = index }
      }
    }

    func slot(_ instruction: Int) -> Int { slots[instruction] }

    /// A register for the result of instruction `index`. One of an operand that is not read again
    /// may serve: loops may write what they read.
    mutating func assign(_ index: Int, isLast: Bool, freeing operands: [Int]) -> Int {
      for operand in Set(operands).sorted() where lastUse[operand] == index {
        if slots[operand] >= firstRegister { free.append(slots[operand]) }
      }
      if isLast { return -1 }
      if free.isEmpty {
        free.append(slotCount)
        slotCount += 1
      }
      slots[index] = free.removeLast()
      return slots[index]
    }
  }
}

/// The plans made so far, by formula.
final class PointwisePlans: Sendable {
  private let plans = Mutex<[Expression: PointwisePlan]>([:])
  /// Beyond it the table is emptied: constants that change each step must not fill memory.
  private static let capacity = 2048

  func plan(_ expression: Expression) -> PointwisePlan {
    if let known = plans.withLock({ $0[expression] }) { return known }
    let made = PointwisePlan(expression)
    plans.withLock { table in
      if table.count >= PointwisePlans.capacity { table.removeAll() }
      table[expression] = made
    }
    return made
  }
}

extension PointwiseProgram.Instruction {
  /// The function that an instruction computes and its operands; nil where it only names a value.
  fileprivate var work: (function: keel_function, operands: [Int])? {
    switch self {
    case .input, .parameter: nil
    case .unary(let function, let operand): (function.code, [operand])
    case .binary(let function, let left, let right): (function.code, [left, right])
    case .select(let condition, let then, let otherwise):
      (KEEL_SELECT, [condition, then, otherwise])
    }
  }
}

extension UnaryFunction {
  fileprivate var code: keel_function {
    switch self {
    case .negate: KEEL_NEGATE
    case .abs: KEEL_ABS
    case .sign: KEEL_SIGN
    case .sqrt: KEEL_SQRT
    case .exp: KEEL_EXP
    case .expm1: KEEL_EXPM1
    case .log: KEEL_LOG
    case .log1p: KEEL_LOG1P
    case .tanh: KEEL_TANH_OF
    case .sigmoid: KEEL_SIGMOID_OF
    case .erf: KEEL_ERF
    case .reciprocal: KEEL_RECIPROCAL
    case .roundedToHalf: KEEL_ROUNDED_TO_HALF
    }
  }
}

extension BinaryFunction {
  fileprivate var code: keel_function {
    switch self {
    case .add: KEEL_ADD
    case .subtract: KEEL_SUBTRACT
    case .multiply: KEEL_MULTIPLY
    case .divide: KEEL_DIVIDE
    case .power: KEEL_POWER
    case .maximum: KEEL_MAXIMUM
    case .minimum: KEEL_MINIMUM
    case .less: KEEL_LESS
    case .lessOrEqual: KEEL_LESS_OR_EQUAL
    case .greater: KEEL_GREATER
    case .greaterOrEqual: KEEL_GREATER_OR_EQUAL
    case .equal: KEEL_EQUAL
    case .notEqual: KEEL_NOT_EQUAL
    }
  }
}
