internal import KeelAutograd
package import KeelBackend

/// What came of one case on one device.
package struct CaseResult: Sendable {
  package var id: String
  /// The device's selector, such as `opencl:0`.
  package var device: String
  package var passed: Bool
  /// The largest distance of a forward result, in units in the last place.
  package var worstULP: Double
  /// The largest error of a forward result, as a fraction of what is allowed.
  package var worstError: Double
  /// The same for the gradient; nil where it is not checked.
  package var worstGradientError: Double?
  /// What is wrong; empty where nothing is.
  package var message: String
  package var seconds: Double

  /// The line that repeats the case.
  package var command: String { "keel parity --case \(id) --device \(device)" }
}

/// Runs cases on a device and judges them.
package struct CaseRunner: Sendable {
  package let device: Device

  package init(_ device: Device) { self.device = device }

  /// Forward against the oracle, gradient against differences of the oracle, twice bit-equal.
  ///
  /// - Parameter isThorough: otherwise one run, whose gradient is computed but not compared.
  package func check(_ one: OperationCase, isThorough: Bool = true) -> CaseResult {
    let one = one.with(device.productPrecision)
    let clock = ContinuousClock()
    let start = clock.now
    var (forward, gradient) = (Comparison(), Comparison())
    do throws(TensorError) {
      let values = one.values
      let first = try execute(one, values)
      let inputs = values.map(\.doubles)
      compare(first, with: one, inputs, &forward)
      if isThorough {
        if !one.differentiable.isEmpty {
          GradientCheck(one, inputs).compare(first.gradients, &gradient)
        }
        compareTwice(first, try execute(one, values), &forward)
      }
    } catch {
      forward.fail("\(error)")
    }
    let duration = (clock.now - start).components
    let failure = forward.failure ?? gradient.failure
    return CaseResult(
      id: one.id, device: device.info.selector, passed: failure == nil,
      worstULP: forward.worstULP, worstError: forward.worstError,
      worstGradientError: one.differentiable.isEmpty || !isThorough ? nil : gradient.worstError,
      message: failure ?? "",
      seconds: Double(duration.seconds) + Double(duration.attoseconds) * 1e-18)
  }

  /// A bad call: refused with its sentence, operands unchanged.
  package func check(_ one: ErrorCase) -> CaseResult {
    var comparison = Comparison()
    let values = one.inputs.indices.map { one.inputs[$0].values(id: one.id, position: $0) }
    do throws(TensorError) {
      let tensors = try tensors(one.inputs, values)
      do throws(TensorError) {
        _ = try one.run(CaseOperands(tensors: tensors, device: device))
        comparison.fail("is accepted, expected '\(one.sentence)'")
      } catch {
        if case .device = error { throw error }
        if error.description != one.sentence {
          comparison.fail("says '\(error)', expected '\(one.sentence)'")
        }
      }
      for (tensor, value) in zip(tensors, values)
      where try download(tensor.value).bits != value.bits {
        comparison.fail("an operand was changed by a call that was refused")
      }
    } catch {
      comparison.fail("\(error)")
    }
    return CaseResult(
      id: one.id, device: device.info.selector, passed: comparison.failure == nil, worstULP: 0,
      worstError: 0, worstGradientError: nil, message: comparison.failure ?? "", seconds: 0)
  }

  /// The operands of a case, made and uploaded once: what a benchmark runs again and again.
  package func operands(_ one: OperationCase) throws(TensorError) -> CaseOperands {
    CaseOperands(tensors: try tensors(one.inputs, one.values), device: device)
  }
}

extension CaseRunner {
  /// Results on the host.
  struct Outcome {
    var outputs: [CaseValues]
    var gradients: [[Float]]
  }

  private func tensors(
    _ inputs: [CaseInput], _ values: [CaseValues], differentiable: [Int] = []
  ) throws(TensorError) -> [Tensor] {
    var tensors: [Tensor] = []
    for (position, input) in inputs.enumerated() {
      switch values[position] {
      case .float32(let numbers):
        tensors.append(
          try Tensor(
            numbers, shape: input.shape, on: device,
            requiresGradient: differentiable.contains(position)))
      case .int32(let numbers):
        tensors.append(try Tensor(numbers, shape: input.shape, on: device))
      case .uint8(let numbers):
        tensors.append(try Tensor(numbers, shape: input.shape, on: device))
      }
    }
    return tensors
  }

  private func download(_ array: NDArray) throws(TensorError) -> CaseValues {
    let backend = device.backend
    return try onDevice { () throws(DeviceError) in
      switch array.dtype {
      case .float32, .float16, .bfloat16: .float32(try backend.scalars(array))
      case .int32: .int32(try backend.scalars(array))
      case .uint8: .uint8(try backend.scalars(array))
      }
    }
  }

  /// Runs a case from fresh operands, forward and where it is checked backward.
  private func execute(
    _ one: OperationCase, _ values: [CaseValues]
  ) throws(TensorError) -> Outcome {
    let tensors = try tensors(one.inputs, values, differentiable: one.differentiable)
    let operands = CaseOperands(tensors: tensors, device: device)
    var outputs: [Tensor] = []
    var gradients: [[Float]] = []
    if one.differentiable.isEmpty {
      outputs = try one.run(operands)
    } else {
      let leaves = one.differentiable.map { tensors[$0] }
      let result = try valueAndGradient(at: leaves) { () throws(TensorError) in
        outputs = try one.run(operands)
        let weights = GradientCheck.weights(one, count: outputs[0].shape.count)
        let weighting = try Tensor(weights, shape: outputs[0].shape, on: device)
        return try (outputs[0] * weighting).sum()
      }
      for gradient in result.gradients { gradients.append(try gradient.scalars()) }
    }
    var downloaded: [CaseValues] = []
    for output in outputs { downloaded.append(try download(output.value)) }
    return Outcome(outputs: downloaded, gradients: gradients)
  }

  private func compare(
    _ outcome: Outcome, with one: OperationCase, _ inputs: [[Double]],
    _ comparison: inout Comparison
  ) {
    let expected = one.oracle(inputs)
    guard outcome.outputs.count == expected.count else {
      comparison.fail("has \(outcome.outputs.count) outputs, expected \(expected.count)")
      return
    }
    let magnitudes = one.magnitudes(inputs, expected)
    for place in expected.indices {
      let name = expected.count == 1 ? "result" : "output \(place) "
      switch outcome.outputs[place] {
      case .float32(let got):
        comparison.add(
          name, got: got, expected: expected[place], magnitudes: magnitudes[place],
          bound: one.tolerance.bound)
      case .int32, .uint8:
        // Integers have no rounding; those of int32 are exact in Double.
        let got = outcome.outputs[place].doubles
        if got != expected[place] {
          let first = zip(got, expected[place]).enumerated().first { $1.0 != $1.1 }
          comparison.fail(
            "\(name)[\(first?.offset ?? got.count)] is \(first?.element.0 ?? .nan), "
              + "expected exactly \(first?.element.1 ?? .nan)")
        }
      }
    }
  }

  private func compareTwice(
    _ first: Outcome, _ second: Outcome, _ comparison: inout Comparison
  ) {
    for (place, pair) in zip(first.outputs, second.outputs).enumerated()
    where pair.0.bits != pair.1.bits {
      comparison.fail("two runs differ in output \(place)")
    }
    for (place, pair) in zip(first.gradients, second.gradients).enumerated()
    where pair.0.map(\.bitPattern) != pair.1.map(\.bitPattern) {
      comparison.fail("two runs differ in gradient \(place)")
    }
  }
}

extension OperationCase {
  /// The same with the tolerance that belongs to the precision of products.
  func with(_ precision: ProductPrecision) -> OperationCase {
    guard precision == .tensorFloat32, [.matmul, .convolution2D, .lstm, .gru].contains(operation)
    else {
      return self
    }
    var copy = self
    copy.tolerance = .tensorFloat32(tolerance)
    return copy
  }

  /// What each element's error is measured against.
  func magnitudes(_ inputs: [[Double]], _ expected: [[Double]]) -> [[Double]] {
    switch magnitude {
    case .element: return expected.map { $0.map(abs) }
    case .terms: return oracle(inputs.map { $0.map(abs) }).map { $0.map(abs) }
    case .largest:
      return expected.map { output in
        let largest = output.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
        return [Double](repeating: largest, count: output.count)
      }
    case .given(let formula): return formula(inputs)
    }
  }
}
