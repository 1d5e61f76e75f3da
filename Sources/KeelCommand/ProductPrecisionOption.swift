import ArgumentParser
import Keel

/// The flag `--tf32`, shared by the commands that train, use and measure networks.
struct ProductPrecisionOption: ParsableArguments {
  @Flag(
    name: .customLong("tf32"),
    help: """
      Let matrix products and convolutions round their operands to tf32 (relative error 2^-11), on \
      the tensor cores of NVIDIA GPUs.
      """)
  var allowsTensorFloat32 = false

  /// The option as another process of this program takes it.
  var arguments: [String] { allowsTensorFloat32 ? ["--tf32"] : [] }

  /// Sets the precision of a device that was just opened.
  func apply(to device: Device, quietly: Bool = false) throws {
    guard allowsTensorFloat32 else { return }
    try device.setProductPrecision(.tensorFloat32)
    if !quietly { print("products: operands rounded to tf32, sums in float32") }
  }
}
