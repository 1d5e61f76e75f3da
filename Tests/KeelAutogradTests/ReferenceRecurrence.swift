import Glibc
import KeelBackend

extension ReferenceBackend {
  func lstmCell(
    _ x: NDArray, recurrent: NDArray?, previous: NDArray?,
    into gates: NDArray, cell: NDArray, hidden: NDArray
  ) throws(DeviceError) {
    note("lstmCell", gates, cell, hidden)
    let units = cell.shape[1]
    let (input, product, before) = (read(x), recurrent.map(read), previous.map(read))
    var (opened, memory, output) = (input, read(cell), read(hidden))
    for i in memory.indices {
      let start = i / units * 4 * units + i % units
      let z = (0..<4).map { input[start + $0 * units] + (product?[start + $0 * units] ?? 0) }
      let g = [0, 1, 2, 3].map { $0 == 2 ? tanh(z[$0]) : 1 / (1 + exp(-z[$0])) }
      for part in 0..<4 { opened[start + part * units] = g[part] }
      memory[i] = g[1] * (before?[i] ?? 0) + g[0] * g[2]
      output[i] = g[3] * tanh(memory[i])
    }
    write(opened, to: gates)
    write(memory, to: cell)
    write(output, to: hidden)
  }

  func lstmCellGradient(
    gates: NDArray, cell: NDArray, previous: NDArray?, upstream dy: NDArray,
    recurrent dh: NDArray?, carried: NDArray?, into dz: NDArray, dcell: NDArray
  ) throws(DeviceError) {
    note("lstmCellGradient", dz, dcell)
    let units = cell.shape[1]
    let (opened, memory, before) = (read(gates), read(cell), previous.map(read))
    let (upstream, later, flow) = (read(dy), dh.map(read), carried.map(read))
    var (result, back) = (opened, memory)
    for k in memory.indices {
      let start = k / units * 4 * units + k % units
      let (i, f) = (opened[start], opened[start + units])
      let (g, o) = (opened[start + 2 * units], opened[start + 3 * units])
      let (t, state) = (tanh(memory[k]), upstream[k] + (later?[k] ?? 0))
      let dc = (flow?[k] ?? 0) + state * o * (1 - t * t)
      result[start] = dc * g * i * (1 - i)
      result[start + units] = dc * (before?[k] ?? 0) * f * (1 - f)
      result[start + 2 * units] = dc * i * (1 - g * g)
      result[start + 3 * units] = state * t * o * (1 - o)
      back[k] = dc * f
    }
    write(result, to: dz)
    write(back, to: dcell)
  }
}
