package import KeelBackend
internal import KeelKernels

/// The text of a program, compared by identity: one object per text.
package final class KernelSource: Sendable {
  /// The stem of its file in `Kernels/Programs`.
  package let name: String
  /// OpenCL C without the prelude, which comes in front of every program.
  package let text: String

  package init(name: String, text: String) {
    self.name = name
    self.text = text
  }

  /// The embedded program of an operation.
  package static func of(_ operation: OperationName) throws(DeviceError) -> KernelSource {
    guard let source = embedded[operation.rawValue] else {
      throw .unsupported(operation: operation.rawValue, reason: "it has no kernel program")
    }
    return source
  }

  /// Every embedded program by name, the prelude included.
  package static let embedded: [String: KernelSource] = {
    let table = UnsafeBufferPointer(
      start: keel_kernel_programs(), count: keel_kernel_program_count())
    var sources: [String: KernelSource] = [:]
    for program in table {
      let name = String(cString: program.name)
      let bytes = UnsafeRawBufferPointer(start: program.text, count: program.length)
      sources[name] = KernelSource(name: name, text: String(decoding: bytes, as: UTF8.self))
    }
    return sources
  }()

  /// What the compiler sees.
  var fullText: String { (Self.embedded["prelude"]?.text ?? "") + "\n" + text }
}
