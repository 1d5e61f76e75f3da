// Recurrent networks: forwarded like the rest.
extension InterceptingBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: LSTMGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    let inputs = [x, inputWeight, recurrentWeight, bias].compactMap { $0 }
    let outputs = [y, states.gates, states.cells, states.before]
    try intercept(.lstm, method: #function, inputs: inputs, outputs: outputs) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.lstm(
        inputs[0], inputWeight: inputs[1], recurrentWeight: inputs[2],
        bias: inputs.dropFirst(3).first, geometry, into: outputs[0],
        states: LSTMStates(gates: outputs[1], cells: outputs[2], before: outputs[3]))
    }
  }

  package func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: LSTMGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    let inputs = [states.gates, states.cells, recurrentWeight, dy]
    let outputs = [dz, dh].compactMap { $0 }
    try intercept(.lstm, method: #function, inputs: inputs, outputs: outputs) {
      (device, inputs, outputs) throws(DeviceError) in
      // The states before are not read.
      try device.lstmGradient(
        LSTMStates(gates: inputs[0], cells: inputs[1], before: inputs[1]),
        recurrentWeight: inputs[2], upstream: inputs[3], geometry, into: outputs[0],
        hidden: outputs.dropFirst().first)
    }
  }
}
