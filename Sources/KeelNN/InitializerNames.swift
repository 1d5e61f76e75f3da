public import KeelBackend

extension Initializer {
  /// The forms of the names that ``init(named:)`` reads.
  public static let names = [
    "zeros", "ones", "constant:VALUE", "uniform[:LOW:HIGH]", "normal[:MEAN:DEVIATION]",
    "truncated-normal[:MEAN:DEVIATION]", "glorot-uniform", "glorot-normal", "he-uniform",
    "he-normal", "lecun-uniform", "lecun-normal", "orthogonal[:GAIN]", "identity[:GAIN]",
    "sparse[:CONNECTIONS:DEVIATION]",
  ]

  private static let scalings: [String: Initializer] = [
    "glorot-uniform": .glorotUniform, "glorot-normal": .glorotNormal, "he-uniform": .heUniform,
    "he-normal": .heNormal, "lecun-uniform": .lecunUniform, "lecun-normal": .lecunNormal,
  ]

  /// The initialiser of a name, with numbers behind colons where ``names`` shows them, such as
  /// `he-normal`, `constant:0.1` or `uniform:-0.5:0.5`.
  ///
  /// Without numbers `uniform` is within ±0.05, `normal` and `truncated-normal` have mean 0 and
  /// deviation 0.05, gains are 1, and `sparse` has 15 connections of deviation 1.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that lists the names, or says what is wrong with a number.
  public init(named text: String) throws(TensorError) {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let name = parts.removeFirst()
    var numbers: [Float] = []
    for part in parts {
      guard let number = Float(part), number.isFinite else { throw Initializer.unknown(text) }
      numbers.append(number)
    }
    guard let found = Initializer.plain(name, numbers) else { throw Initializer.unknown(text) }
    // As good a shape as any: only the numbers are in question.
    if let complaint = found.complaint(for: [1, 1]) {
      throw .shape(ShapeError("initializer", requires: complaint, gotText: text))
    }
    self = found
  }

  private static func plain(_ name: String, _ numbers: [Float]) -> Initializer? {
    switch (name, numbers.count) {
    case ("zeros", 0): .zeros
    case ("ones", 0): .ones
    case ("constant", 1): .constant(numbers[0])
    case ("uniform", 0): .uniform(low: -0.05, high: 0.05)
    case ("uniform", 2): .uniform(low: numbers[0], high: numbers[1])
    case ("normal", 0): .normal(mean: 0, deviation: 0.05)
    case ("normal", 2): .normal(mean: numbers[0], deviation: numbers[1])
    case ("truncated-normal", 0): .truncatedNormal(mean: 0, deviation: 0.05)
    case ("truncated-normal", 2): .truncatedNormal(mean: numbers[0], deviation: numbers[1])
    case ("orthogonal", 0): .orthogonal()
    case ("orthogonal", 1): .orthogonal(gain: numbers[0])
    case ("identity", 0): .identity()
    case ("identity", 1): .identity(gain: numbers[0])
    case ("sparse", 0): .sparse()
    case ("sparse", 2):
      Int(exactly: numbers[0]).map { .sparse(connections: $0, deviation: numbers[1]) }
    case (_, 0): scalings[name]
    default: nil
    }
  }

  private static func unknown(_ text: String) -> TensorError {
    .shape(
      ShapeError(
        "initializer", requires: "one of \(names.joined(separator: ", "))", gotText: "'\(text)'"))
  }
}
