// Recurrent cells: forwarded like the rest.
extension InterceptingBackend {
  package func lstmCell(
    _ x: NDArray, recurrent: NDArray?, previous: NDArray?,
    into gates: NDArray, cell: NDArray, hidden: NDArray
  ) throws(DeviceError) {
    let inputs = [x, recurrent, previous].compactMap { $0 }
    try intercept(.lstm, method: #function, inputs: inputs, outputs: [hidden, cell, gates]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.lstmCell(
        inputs[0], recurrent: recurrent == nil ? nil : inputs[1],
        previous: previous == nil ? nil : inputs[inputs.count - 1], into: outputs[2],
        cell: outputs[1], hidden: outputs[0])
    }
  }

  package func lstmCellGradient(
    gates: NDArray, cell: NDArray, previous: NDArray?, upstream dy: NDArray,
    recurrent dh: NDArray?, carried: NDArray?, into dz: NDArray, dcell: NDArray
  ) throws(DeviceError) {
    let inputs = [gates, cell, dy, previous, dh, carried].compactMap { $0 }
    let later = previous == nil ? 3 : 4
    try intercept(.lstm, method: #function, inputs: inputs, outputs: [dz, dcell]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.lstmCellGradient(
        gates: inputs[0], cell: inputs[1], previous: previous == nil ? nil : inputs[3],
        upstream: inputs[2], recurrent: dh == nil ? nil : inputs[later],
        carried: carried == nil ? nil : inputs[inputs.count - 1], into: outputs[0],
        dcell: outputs[1])
    }
  }
}
