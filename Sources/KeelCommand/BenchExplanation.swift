import Keel
import KeelAutograd
import KeelBackend
import KeelBenchmarks
import KeelCases

/// `keel bench --explain`: which kernels a case or a step runs, with their device time, and what
/// the planning functions chose and why.
struct BenchExplanation {
  let device: Device
  let effort: Effort

  func print(_ cases: [OperationCase], _ steps: [StepBenchmark]) throws {
    guard let tracing = device.backend.innermost as? any LaunchTracing else {
      throw ExitStatus.badInput(
        "\(device.info.selector) does not run kernels; --explain works on OpenCL devices, and "
          + "'keel train --profile' lists time per operation on every device")
    }
    // With effort spent on nothing the limits are not needed.
    let benchmark = CaseBenchmark(
      device: device, effort: effort,
      limits: DeviceLimits(gigaflops: 0, gigabytesPerSecond: 0))
    for one in cases { try explain(one.id, on: tracing, benchmark.run(one)) }
    for step in steps { try explain(step.id, on: tracing, step.step(on: device)) }
  }

  private func explain(
    _ id: String, on device: any LaunchTracing, _ run: () throws(TensorError) -> Void
  ) throws {
    // The first run compiles.
    try run()
    let trace = try device.traced(run)
    let total = trace.launches.reduce(0) { $0 + $1.nanoseconds }
    var table = TextTable("kernel", ">launches", ">ms", ">%")
    for kernel in trace.byKernel {
      table.add(
        kernel.name, kernel.launches.grouped, (Double(kernel.nanoseconds) * 1e-6).fixed(3),
        (100 * Double(kernel.nanoseconds) / max(Double(total), 1)).fixed(1))
    }
    Swift.print(
      "\(id): \(trace.launches.count.grouped) launches, \((Double(total) * 1e-6).fixed(3)) ms")
    for choice in trace.choices { Swift.print("  \(choice)") }
    Swift.print(table.render() + "\n")
  }
}
