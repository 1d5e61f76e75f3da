// Recurrent networks: forwarded like the rest.
extension InterceptingBackend {
  package func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
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
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
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

  package func gru(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: GRUStates
  ) throws(DeviceError) {
    let inputs = [x, inputWeight, recurrentWeight, bias].compactMap { $0 }
    let outputs = [y, states.gates, states.products, states.before]
    try intercept(.gru, method: #function, inputs: inputs, outputs: outputs) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.gru(
        inputs[0], inputWeight: inputs[1], recurrentWeight: inputs[2],
        bias: inputs.dropFirst(3).first, geometry, into: outputs[0],
        states: GRUStates(gates: outputs[1], products: outputs[2], before: outputs[3]))
    }
  }

  package func gruGradient(
    _ states: GRUStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, products dq: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    let inputs = [states.gates, states.products, states.before, recurrentWeight, dy]
    let outputs = [dz, dq, dh].compactMap { $0 }
    try intercept(.gru, method: #function, inputs: inputs, outputs: outputs) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.gruGradient(
        GRUStates(gates: inputs[0], products: inputs[1], before: inputs[2]),
        recurrentWeight: inputs[3], upstream: inputs[4], geometry, into: outputs[0],
        products: outputs[1], hidden: outputs.dropFirst(2).first)
    }
  }
}
