// What a step does with its gradients: forwarded like the rest.
extension InterceptingBackend {
  package func gradientTelescope(
    _ g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, into reading: TelescopeReading
  ) throws(DeviceError) {
    let outputs =
      [reading.statistics, reading.counts, reading.summary, reading.faults]
      + (wantsHistogram ? [reading.histogram] : [])
    try intercept(
      .gradientTelescope, method: #function, inputs: [g, table.chunks, table.tensors],
      outputs: outputs
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.gradientTelescope(
        inputs[0], TelescopeTable(chunks: inputs[1], tensors: inputs[2]),
        wantsHistogram: wantsHistogram,
        into: TelescopeReading(
          statistics: outputs[0], counts: outputs[1],
          histogram: wantsHistogram ? outputs[4] : reading.histogram, summary: outputs[2],
          faults: outputs[3]))
    }
  }

  package func beginStep(
    _ reading: TelescopeReading, loss: NDArray?, right: NDArray?, schedule: NDArray,
    firstUpdate: UInt64, _ rule: FaultRule, counters: NDArray, into decision: NDArray
  ) throws(DeviceError) {
    let inputs = [reading.statistics, reading.summary, reading.faults, schedule, loss, right]
    try intercept(
      .stepControl, method: #function, inputs: inputs.compactMap { $0 },
      outputs: [decision, counters]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.beginStep(
        reading.replacing(inputs[0], inputs[1], inputs[2]),
        loss: loss == nil ? nil : inputs[4],
        right: right == nil ? nil : inputs[inputs.count - 1], schedule: inputs[3],
        firstUpdate: firstUpdate, rule, counters: outputs[1], into: outputs[0])
    }
  }

  package func clipCoefficients(
    _ rule: ClipRule, _ reading: TelescopeReading, isLast: Bool, state: NDArray?,
    decision: NDArray, into coefficients: NDArray
  ) throws(DeviceError) {
    try intercept(
      .gradientClip, method: #function,
      inputs: [reading.statistics, reading.summary, reading.faults],
      outputs: [coefficients, decision, state].compactMap { $0 }
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.clipCoefficients(
        rule, reading.replacing(inputs[0], inputs[1], inputs[2]), isLast: isLast,
        state: state == nil ? nil : outputs[2], decision: outputs[1], into: outputs[0])
    }
  }

  package func scaleGradients(
    _ g: NDArray, _ table: TelescopeTable, coefficients: NDArray, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .gradientClip, method: #function,
      inputs: [table.chunks, table.tensors, coefficients, decision], outputs: [g]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.scaleGradients(
        outputs[0], TelescopeTable(chunks: inputs[0], tensors: inputs[1]),
        coefficients: inputs[2], decision: inputs[3])
    }
  }

  package func clipElements(
    _ g: NDArray, limit: Float, decision: NDArray
  ) throws(DeviceError) {
    try intercept(.gradientClip, method: #function, inputs: [decision], outputs: [g]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.clipElements(outputs[0], limit: limit, decision: inputs[0])
    }
  }

  package func repairGradients(
    _ g: NDArray, _ repair: FaultRepair, faults: NDArray
  ) throws(DeviceError) {
    try intercept(.gradientClip, method: #function, inputs: [faults], outputs: [g]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.repairGradients(outputs[0], repair, faults: inputs[0])
    }
  }
}

extension TelescopeReading {
  /// The same with other arrays for what decisions are made from.
  fileprivate func replacing(
    _ statistics: NDArray, _ summary: NDArray, _ faults: NDArray
  ) -> TelescopeReading {
    TelescopeReading(
      statistics: statistics, counts: counts, histogram: histogram, summary: summary,
      faults: faults)
  }
}
