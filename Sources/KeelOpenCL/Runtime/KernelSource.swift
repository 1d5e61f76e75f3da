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
    try named(operation.rawValue)
  }

  /// The embedded program of a file, for an operation whose kernels fill several.
  package static func named(_ name: String) throws(DeviceError) -> KernelSource {
    guard let source = embedded[name] else {
      throw .unsupported(operation: name, reason: "there is no kernel program of this name")
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

  /// The names of an operation's kernels, in all files of its stem.
  package static func kernelNames(of operation: OperationName) -> [String] {
    let stem = operation.rawValue
    return embedded.values.filter { $0.name == stem || $0.name.hasPrefix(stem + "_") }
      .filter { source in
        // `softmax_cross_entropy` is an operation of its own, not a file of `softmax`.
        source.name == stem || OperationName(rawValue: source.name) == nil
      }
      .flatMap(\.kernelNames).sorted()
  }

  /// The functions that `__kernel void` announces.
  private var kernelNames: [String] {
    // After the attributes, if there are any.
    text.split(separator: "__kernel").dropFirst().compactMap { part in
      part.split(separator: "void ", maxSplits: 1).last.map { String($0.prefix { $0 != "(" }) }
    }
  }

  /// Texts that come after the prelude in front of programs that use what they define.
  private static let preludes = [
    (function: "keel_philox", name: "prelude_random"),
    (function: "keel_stored", name: "prelude_half"),
    (function: "keel_team_", name: "prelude_team"),
    (function: "keel_turn_", name: "prelude_turn"),
    (function: "keel_tile_multiply", name: "prelude_tiles"),
    (function: "keel_step_", name: "prelude_step"),
    (function: "keel_group_products", name: "prelude_recurrent_groups"),
    (function: "keel_winograd_", name: "prelude_winograd"),
    (function: "keel_recurrent_sigmoid", name: "prelude_recurrent"),
  ]

  /// What the compiler sees.
  var fullText: String {
    let used = Self.preludes.filter { text.contains($0.function) }.map(\.name)
    return (["prelude"] + used).map { (Self.embedded[$0]?.text ?? "") + "\n" }.joined() + text
  }
}
