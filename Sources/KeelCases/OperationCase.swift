package import KeelAutograd
package import KeelBackend

/// The operands of a running case, on its device.
package struct CaseOperands {
  package let tensors: [Tensor]
  package let device: Device

  package init(tensors: [Tensor], device: Device) {
    self.tensors = tensors
    self.device = device
  }

  package subscript(position: Int) -> Tensor { tensors[position] }
  package var backend: any Backend { device.backend }

  /// Runs an operation of the contract on new memory, for what has no method of `Tensor`.
  package func direct(
    _ shapes: [Shape], _ dtype: DType = .float32,
    _ body: (any Backend, [NDArray]) throws(DeviceError) -> Void
  ) throws(TensorError) -> [Tensor] {
    let device = device
    let outputs = try onDevice { () throws(DeviceError) -> [NDArray] in
      var outputs: [NDArray] = []
      for shape in shapes { outputs.append(try device.backend.allocate(shape, dtype)) }
      try body(device.backend, outputs)
      return outputs
    }
    return outputs.map { Tensor(value: $0, device: device, requiresGradient: false) }
  }
}

/// One computation with its operands, its truth and what it costs: the unit of parity tests,
/// gradient checks and benchmarks on every device.
package struct OperationCase: Sendable {
  package typealias Run = @Sendable (CaseOperands) throws(TensorError) -> [Tensor]
  package typealias Oracle = @Sendable ([[Double]]) -> [[Double]]

  /// Whether a case is for checking, or for timing with rates.
  package enum SizeClass: String, CaseIterable, Sendable {
    case small
    case large
  }

  /// What one run costs at least, for rates in benchmarks.
  package struct Work: Sendable {
    package var flops: Int
    /// Every operand read once, every result written once.
    package var bytes: Int

    package init(flops: Int = 0, bytes: Int = 0) {
      self.flops = flops
      self.bytes = bytes
    }
  }

  package let operation: OperationName
  package let label: String
  package let inputs: [CaseInput]
  package var tolerance: Tolerance
  package let magnitude: Magnitude
  /// Positions of the operands whose gradient (of the first output) is checked.
  package let differentiable: [Int]
  /// By how much the data themselves amplify errors of the gradient, above what is usual.
  package let condition: Double
  package let sizeClass: SizeClass
  package let work: Work
  package let run: Run
  package let oracle: Oracle

  /// A case with several outputs.
  package init(
    _ operation: OperationName, _ label: String, inputs: [CaseInput], tolerance: Tolerance,
    magnitude: Magnitude = .element, differentiable: [Int] = [], condition: Double = 1,
    work: Work? = nil, outputs run: @escaping Run, oracles oracle: @escaping Oracle
  ) {
    self.operation = operation
    self.label = label
    self.inputs = inputs
    self.tolerance = tolerance
    self.magnitude = magnitude
    self.differentiable = differentiable
    self.condition = condition
    sizeClass = work == nil ? .small : .large
    self.work = work ?? Work()
    self.run = run
    self.oracle = oracle
  }

  /// A case with one output.
  package init(
    _ operation: OperationName, _ label: String, inputs: [CaseInput], tolerance: Tolerance,
    magnitude: Magnitude = .element, differentiable: [Int] = [], condition: Double = 1,
    work: Work? = nil,
    run: @escaping @Sendable (CaseOperands) throws(TensorError) -> Tensor,
    oracle: @escaping @Sendable ([[Double]]) -> [Double]
  ) {
    self.init(
      operation, label, inputs: inputs, tolerance: tolerance, magnitude: magnitude,
      differentiable: differentiable, condition: condition, work: work,
      outputs: { (operands) throws(TensorError) in [try run(operands)] },
      oracles: { [oracle($0)] })
  }

  /// The stem and the label, such as `convolution2d/stride2_same`; large ones end in `@large`.
  package var id: String {
    "\(operation.rawValue)/\(label)" + (sizeClass == .large ? "@large" : "")
  }

  /// The elements of each operand.
  package var values: [CaseValues] {
    inputs.indices.map { inputs[$0].values(id: id, position: $0) }
  }
}

/// A call that must be refused at the door, with the sentence it gets.
package struct ErrorCase: Sendable {
  package let operation: OperationName
  package let label: String
  package let inputs: [CaseInput]
  /// The whole sentence of the error.
  package let sentence: String
  package let run: @Sendable (CaseOperands) throws(TensorError) -> Tensor

  package init(
    _ operation: OperationName, _ label: String, inputs: [CaseInput], sentence: String,
    run: @escaping @Sendable (CaseOperands) throws(TensorError) -> Tensor
  ) {
    self.operation = operation
    self.label = label
    self.inputs = inputs
    self.sentence = sentence
    self.run = run
  }

  package var id: String { "\(operation.rawValue)/error_\(label)" }
}
