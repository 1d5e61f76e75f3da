import Glibc
import KeelBackend

extension ReferenceBackend {
  func lstm(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: LSTMStates
  ) throws(DeviceError) {
    note("lstm", y, states.gates, states.cells, states.before)
    let (steps, units, features) = (geometry.steps, geometry.units, geometry.features)
    let (input, w, u) = (read(x), read(inputWeight), read(recurrentWeight))
    let shift = bias.map(read) ?? [Double](repeating: 0, count: 4 * units)
    var (gates, cells) = (read(states.gates), read(states.cells))
    var (before, output) = (read(states.before), read(y))
    for b in 0..<geometry.batch {
      for (time, previous) in geometry.order {
        let row = b * steps + time
        var z = shift
        for f in 0..<features {
          for c in z.indices { z[c] += input[row * features + f] * w[f * 4 * units + c] }
        }
        for k in 0..<units {
          let h = previous.map { output[(b * steps + $0) * units + k] } ?? 0
          before[row * units + k] = h
          for c in z.indices { z[c] += h * u[k * 4 * units + c] }
        }
        for k in 0..<units {
          let g = (0..<4).map { part in
            let value = z[part * units + k]
            return part == 2 ? tanh(value) : 1 / (1 + exp(-value))
          }
          for part in 0..<4 { gates[row * 4 * units + part * units + k] = g[part] }
          let cell = previous.map { cells[(b * steps + $0) * units + k] } ?? 0
          cells[row * units + k] = g[1] * cell + g[0] * g[2]
          output[row * units + k] = g[3] * tanh(cells[row * units + k])
        }
      }
    }
    write(gates, to: states.gates)
    write(cells, to: states.cells)
    write(before, to: states.before)
    write(output, to: y)
  }

  func lstmGradient(
    _ states: LSTMStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    note("lstmGradient", dz)
    let (steps, units) = (geometry.steps, geometry.units)
    let (gates, cells, u) = (read(states.gates), read(states.cells), read(recurrentWeight))
    var (result, hidden) = (read(dz), read(dy))
    for b in 0..<geometry.batch {
      var carried = [Double](repeating: 0, count: units)
      var flow = [Double](repeating: 0, count: 4 * units)
      for (time, previous) in geometry.order.reversed() {
        let row = b * steps + time
        for k in 0..<units {
          for c in flow.indices { hidden[row * units + k] += flow[c] * u[k * 4 * units + c] }
        }
        for k in 0..<units {
          let g = (0..<4).map { gates[row * 4 * units + $0 * units + k] }
          let (t, state) = (tanh(cells[row * units + k]), hidden[row * units + k])
          let dc = carried[k] + state * g[3] * (1 - t * t)
          let cell = previous.map { cells[(b * steps + $0) * units + k] } ?? 0
          flow[k] = dc * g[2] * g[0] * (1 - g[0])
          flow[units + k] = dc * cell * g[1] * (1 - g[1])
          flow[2 * units + k] = dc * g[0] * (1 - g[2] * g[2])
          flow[3 * units + k] = state * t * g[3] * (1 - g[3])
          carried[k] = dc * g[1]
        }
        for c in flow.indices { result[row * 4 * units + c] = flow[c] }
      }
    }
    write(result, to: dz)
    if let dh { write(hidden, to: dh) }
  }

  func gru(
    _ x: NDArray, inputWeight: NDArray, recurrentWeight: NDArray, bias: NDArray?,
    _ geometry: RecurrentGeometry, into y: NDArray, states: GRUStates
  ) throws(DeviceError) {
    note("gru", y, states.gates, states.products, states.before)
    let (steps, units, features) = (geometry.steps, geometry.units, geometry.features)
    let (input, w, v) = (read(x), read(inputWeight), read(recurrentWeight))
    let shift = bias.map(read) ?? [Double](repeating: 0, count: 3 * units)
    var (gates, products) = (read(states.gates), read(states.products))
    var (before, output) = (read(states.before), read(y))
    for b in 0..<geometry.batch {
      for (time, previous) in geometry.order {
        let row = b * steps + time
        var (z, q) = (shift, [Double](repeating: 0, count: 3 * units))
        for f in 0..<features {
          for c in z.indices { z[c] += input[row * features + f] * w[f * 3 * units + c] }
        }
        for k in 0..<units {
          let h = previous.map { output[(b * steps + $0) * units + k] } ?? 0
          before[row * units + k] = h
          for c in q.indices { q[c] += h * v[k * 3 * units + c] }
        }
        for k in 0..<units {
          let r = 1 / (1 + exp(-z[k] - q[k]))
          let u = 1 / (1 + exp(-z[units + k] - q[units + k]))
          let n = tanh(z[2 * units + k] + r * q[2 * units + k])
          for (part, value) in [r, u, n].enumerated() {
            gates[row * 3 * units + part * units + k] = value
          }
          products[row * units + k] = q[2 * units + k]
          output[row * units + k] = (1 - u) * n + u * before[row * units + k]
        }
      }
    }
    write(gates, to: states.gates)
    write(products, to: states.products)
    write(before, to: states.before)
    write(output, to: y)
  }

  func gruGradient(
    _ states: GRUStates, recurrentWeight: NDArray, upstream dy: NDArray,
    _ geometry: RecurrentGeometry, into dz: NDArray, products dq: NDArray, hidden dh: NDArray?
  ) throws(DeviceError) {
    note("gruGradient", dz, dq)
    let (steps, units) = (geometry.steps, geometry.units)
    let (gates, products) = (read(states.gates), read(states.products))
    let (before, v) = (read(states.before), read(recurrentWeight))
    var (input, recurrent, hidden) = (read(dz), read(dq), read(dy))
    for b in 0..<geometry.batch {
      var carried = [Double](repeating: 0, count: units)
      var flow = [Double](repeating: 0, count: 3 * units)
      for (time, _) in geometry.order.reversed() {
        let row = b * steps + time
        for k in 0..<units {
          hidden[row * units + k] += carried[k]
          for c in flow.indices { hidden[row * units + k] += flow[c] * v[k * 3 * units + c] }
        }
        for k in 0..<units {
          let g = (0..<3).map { gates[row * 3 * units + $0 * units + k] }
          let (r, u, n, whole) = (g[0], g[1], g[2], hidden[row * units + k])
          let dn = whole * (1 - u) * (1 - n * n)
          flow[k] = dn * products[row * units + k] * r * (1 - r)
          flow[units + k] = whole * (before[row * units + k] - n) * u * (1 - u)
          flow[2 * units + k] = dn * r
          input[row * 3 * units + 2 * units + k] = dn
          carried[k] = whole * u
        }
        for c in flow.indices {
          recurrent[row * 3 * units + c] = flow[c]
          if c < 2 * units { input[row * 3 * units + c] = flow[c] }
        }
      }
    }
    write(input, to: dz)
    write(recurrent, to: dq)
    if let dh { write(hidden, to: dh) }
  }
}
