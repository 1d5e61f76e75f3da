public import KeelBackend

extension ClipStage {
  /// A stage from text: the name, then a colon and its numbers where they are not the usual ones,
  /// such as `global-norm:1`, `zclip` or `unitwise:0.02:1e-3`.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that lists the names, or says which numbers a name takes.
  public init(parsing text: String) throws(TensorError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let name = parts[0].lowercased()
    guard let form = ClipStage.forms[name] else {
      throw Stability.refusal(
        "clip", "one of \(ClipStage.forms.keys.sorted().joined(separator: ", "))", text)
    }
    var numbers: [Float] = []
    for part in parts.dropFirst() {
      guard let number = Float(part) else { throw ClipStage.refusal(name, form, text) }
      numbers.append(number)
    }
    guard numbers.count <= form.names.count, numbers.count >= form.required else {
      throw ClipStage.refusal(name, form, text)
    }
    func value(_ place: Int, _ usual: Float) -> Float {
      place < numbers.count ? numbers[place] : usual
    }
    func count(_ place: Int, _ usual: Int) throws(TensorError) -> Int {
      guard place < numbers.count else { return usual }
      guard let whole = Int(exactly: numbers[place]) else {
        throw ClipStage.refusal(name, form, text)
      }
      return whole
    }
    switch name {
    case "elementwise": self = .elementwise(numbers[0])
    case "per-tensor-norm": self = .perTensorNorm(numbers[0])
    case "global-norm": self = .globalNorm(numbers[0])
    case "global-max-abs": self = .globalMaxAbs(numbers[0])
    case "per-example": self = .perExample(numbers[0])
    case "unitwise": self = .unitwise(ratio: value(0, 0.01), floor: value(1, 1e-3))
    case "autoclip": self = .autoClip(percentile: value(0, 10), window: try count(1, 1000))
    case "zclip":
      self = .zClip(alpha: value(0, 0.97), threshold: value(1, 2.5), warmUp: try count(2, 25))
    default:
      self = .adaGC(
        relative: value(0, 1.05), beta: value(1, 0.98), warmUp: try count(2, 100),
        limit: value(3, 1))
    }
    try validate()
  }

  /// What the numbers of a name are, and how many of them must be given.
  private typealias Form = (names: [String], required: Int)

  private static let forms: [String: Form] = [
    "elementwise": (["limit"], 1), "per-tensor-norm": (["limit"], 1),
    "global-norm": (["limit"], 1), "global-max-abs": (["limit"], 1),
    "per-example": (["limit"], 1), "unitwise": (["ratio", "floor"], 0),
    "autoclip": (["percentile", "window"], 0),
    "zclip": (["alpha", "threshold", "warm-up"], 0),
    "adagc": (["relative", "beta", "warm-up", "limit"], 0),
  ]

  private static func refusal(_ name: String, _ form: Form, _ text: String) -> TensorError {
    let pattern = form.names.enumerated().map { place, what in
      place < form.required ? ":\(what)" : "[:\(what)]"
    }
    return Stability.refusal("clip", "\(name)\(pattern.joined()), each a number", text)
  }
}
