import Keel
import KeelBackend
import KeelNN
import KeelStability
import Testing

/// What the tests of the rules share.
enum LintBench {
  /// A model of listed layers.
  static func model(
    _ input: Shape, _ device: Device = .cpu, @LayerBuilder _ layers: () -> [ListedLayer]
  ) throws -> Model {
    try Model(Sequential(layers), input: input, device: device, seed: 5)
  }

  /// Noise with the labels of `classes` classes in turn.
  static func data(
    _ count: Int, shape: [Int] = [6], classes: Int = 3, seed: UInt64 = 1
  ) throws -> Dataset {
    var random = RandomSequence(RandomKey(seed: seed, .user))
    let width = shape.reduce(1, *)
    return try Dataset(
      features: (0..<(count * width)).map { _ in Float(random.next(below: 1000)) / 1000 },
      extents: shape, labels: (0..<count).map { Int32($0 % classes) }, classCount: classes)
  }
}

/// Expects exactly one diagnostic of a rule, at a place, that contains each text.
func expectOnly(
  _ found: [Diagnostic], _ severity: Diagnostic.Severity, _ rule: String, at place: String? = nil,
  saying texts: String..., sourceLocation: Testing.SourceLocation = #_sourceLocation
) {
  #expect(
    found.map(\.rule) == [rule] && found.first?.severity == severity, "\(found)",
    sourceLocation: sourceLocation)
  if let place {
    #expect(found.first?.place == place, "\(found)", sourceLocation: sourceLocation)
  }
  for text in texts {
    #expect(
      found.first?.description.contains(text) == true, "'\(text)' lacks in \(found)",
      sourceLocation: sourceLocation)
  }
}
