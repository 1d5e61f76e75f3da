// What surrounds the optimizer's step: forwarded like the rest.
extension InterceptingBackend {
  package func addUniformNoise(
    to g: NDArray, seed: UInt64, firstUpdate: UInt64, counters: NDArray, scales: NDArray,
    decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .gradientNoise, method: #function, inputs: [counters, scales, decision], outputs: [g]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.addUniformNoise(
        to: outputs[0], seed: seed, firstUpdate: firstUpdate, counters: inputs[0],
        scales: inputs[1], decision: inputs[2])
    }
  }

  package func addNoise(
    _ noise: NDArray, to g: NDArray, whereNormBelow threshold: Float, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .gradientNoise, method: #function, inputs: [noise, decision], outputs: [g]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.addNoise(
        inputs[0], to: outputs[0], whereNormBelow: threshold, decision: inputs[1])
    }
  }

  package func addPenaltyGradient(
    to g: NDArray, parameters: NDArray, scales: NDArray, l1: Float, l2: Float
  ) throws(DeviceError) {
    try intercept(
      .regularization, method: #function, inputs: [parameters, scales], outputs: [g]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.addPenaltyGradient(
        to: outputs[0], parameters: inputs[0], scales: inputs[1], l1: l1, l2: l2)
    }
  }

  package func shrinkParameters(
    _ parameters: NDArray, scales: NDArray, l1: Float, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .regularization, method: #function, inputs: [scales, decision], outputs: [parameters]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.shrinkParameters(outputs[0], scales: inputs[0], l1: l1, decision: inputs[1])
    }
  }

  package func clipUnits(
    _ g: NDArray, weights: NDArray, ratio: Float, floor: Float, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .unitNorm, method: #function, inputs: [weights], outputs: [g, decision]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.clipUnits(
        outputs[0], weights: inputs[0], ratio: ratio, floor: floor, decision: outputs[1])
    }
  }

  package func constrainUnits(
    _ weights: NDArray, _ constraint: UnitConstraint, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .unitNorm, method: #function, inputs: [decision], outputs: [weights]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.constrainUnits(outputs[0], constraint, decision: inputs[0])
    }
  }
}
