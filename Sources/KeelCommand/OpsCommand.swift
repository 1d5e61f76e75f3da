import ArgumentParser
import Keel
import KeelBackend
import KeelCases
import KeelOpenCL

/// `keel ops`: the table of operations.
struct OpsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops", abstract: "Lists every operation: kernels, gradient, cases, devices.")

  func run() throws {
    let devices = Device.available().map(\.selector).joined(separator: " ")
    var table = TextTable("operation", ">kernels", "gradient", ">cases", "devices")
    for operation in OperationName.allCases {
      let cases = CaseCatalog.cases(of: operation)
      let kernels = KernelSource.kernelNames(of: operation)
      let hasGradient = cases.contains { !$0.differentiable.isEmpty }
      table.add(
        operation.rawValue, "\(kernels.count)", hasGradient ? "yes" : "none",
        "\(cases.count)", devices)
    }
    print(table.render())
  }
}
