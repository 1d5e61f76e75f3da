package import KeelBackend

extension OpenCLBackend: MultiplyAddPeakBackend {
  package func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError) {
    // A chain is a vector of 16: twelve hide the latency of fma on a CPU's core; on a GPU two are
    // 32 registers and leave room for many work-items.
    let chains = isCPUClass ? 12 : 2
    let items = ceilDivide(out.count, 16 * chains)
    let grid = isCPUClass ? Grid.tiles(items) : Grid.items(items, local: 64)
    try launch(
      "multiply_add_peak", from: .multiplyAddPeak, options: ["CHAINS=\(chains)"], grid: grid,
      out, UInt32(out.count), UInt32(rounds))
  }
}
