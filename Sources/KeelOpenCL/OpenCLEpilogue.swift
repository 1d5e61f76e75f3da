internal import KeelBackend

/// The end of a kernel that fuses a bias and an activation: has_bias, activation, parameter.
///
/// The bias itself is an argument of its own, among the inputs.
struct EpilogueArguments: KernelArgument {
  let hasBias: Bool
  let activation: Activation

  init(_ epilogue: Epilogue) {
    hasBias = epilogue.bias != nil
    activation = epilogue.activation
  }

  func bind(to arguments: inout KernelArguments) throws(DeviceError) {
    try UInt32(hasBias ? 1 : 0).bind(to: &arguments)
    try UInt32(activation.kernelCode).bind(to: &arguments)
    try activation.kernelParameter.bind(to: &arguments)
  }
}

/// An `int2` of a kernel that works on images: along the width, along the height.
func alongImage(width: Int, height: Int) -> SIMD2<Int32> { SIMD2(Int32(width), Int32(height)) }
