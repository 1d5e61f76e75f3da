import Testing

/// Kernels in the forms for CPU-class devices and for GPUs, one test after the other: they share a
/// backend.
@Suite("Both classes of device", .enabled(if: TestDevice.isUsable), .serialized)
struct BothClassesTests {}
