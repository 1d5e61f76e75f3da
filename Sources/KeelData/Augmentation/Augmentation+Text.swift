import KeelBackend

/// The written form: steps with a comma between them, `name=value:value@probability` each.
extension Augmentation: CustomStringConvertible {
  /// Such as `shift=2,rotate=10:reflect,flip=horizontal@0.5`.
  public var description: String { steps.map(\.description).joined(separator: ",") }

  /// Reads steps with a comma between them, each `name`, `name=value` or `name=value:value`, with
  /// `@probability` at the end if it is not always done.
  ///
  /// - `crop=padding`, `shift=pixels` or `shift=columns:rows`, `rotate=degrees`,
  ///   `zoom=amount` (factors 1-amount ... 1+amount) or `zoom=from:to`,
  ///   `elastic=strength:smoothness`; each may end in `:zero`, `:edge` or `:reflect`
  /// - `flip=horizontal` or `flip=vertical`, `@0.5` by default
  /// - `brightness=amount`, `contrast=amount` or `contrast=from:to`, `erase=side`,
  ///   `noise=deviation`
  /// - `mixup=alpha`, `cutmix=alpha`
  ///
  /// - Throws: ``DataError`` that says which step is not one and what there is.
  public init(parsing text: String) throws(DataError) {
    var steps: [Step] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      steps.append(try StepText(part).step())
    }
    try self.init(steps: steps)
  }
}

extension Augmentation: Codable {
  /// Reads the written form.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.singleValueContainer()
    do {
      try self.init(parsing: try values.decode(String.self))
    } catch let error as DataError {
      throw DecodingError.dataCorruptedError(in: values, debugDescription: "\(error)")
    }
  }

  /// Writes the written form.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.singleValueContainer()
    try values.encode(description)
  }
}

extension Augmentation.Step: CustomStringConvertible {
  /// Such as `rotate=10:reflect@0.5`.
  public var description: String {
    var text = change.description
    if case .flip = change {
      if probability != 0.5 { text += "@\(written(probability))" }
    } else if probability != 1 {
      text += "@\(written(probability))"
    }
    return text
  }
}

extension Augmentation.Change: CustomStringConvertible {
  /// Such as `rotate=10:reflect`.
  public var description: String {
    func edge(_ border: Augmentation.Border) -> String {
      border == .zero ? "" : ":\(border.rawValue)"
    }
    return switch self {
    case .crop(let padding, let border): "crop=\(padding)\(edge(border))"
    case .shift(let columns, let rows, let border):
      "shift=\(columns == rows ? "\(rows)" : "\(columns):\(rows)")\(edge(border))"
    case .flip(let mirror): "flip=\(mirror.rawValue)"
    case .rotate(let degrees, let border): "rotate=\(written(degrees))\(edge(border))"
    case .zoom(let from, let to, let border): "zoom=\(written(from)):\(written(to))\(edge(border))"
    case .elastic(let strength, let smoothness, let border):
      "elastic=\(written(strength)):\(written(smoothness))\(edge(border))"
    case .brightness(let amount): "brightness=\(written(amount))"
    case .contrast(let from, let to): "contrast=\(written(from)):\(written(to))"
    case .erase(let side): "erase=\(side)"
    case .noise(let deviation): "noise=\(written(deviation))"
    case .mixUp(let alpha): "mixup=\(written(alpha))"
    case .cutMix(let alpha): "cutmix=\(written(alpha))"
    }
  }
}

/// The shortest text that reads back as the same number, without a trailing `.0`.
func written(_ value: Double) -> String {
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

/// One step as it was written, taken apart.
private struct StepText {
  private let whole: Substring
  private let name: Substring
  private var values: [Substring]
  private let probability: Double?
  private var border = Augmentation.Border.zero

  init(_ text: Substring) throws(DataError) {
    whole = text
    let ends = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let sides = (ends.first ?? "").split(
      separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    name = sides.first ?? ""
    values = sides.count < 2 ? [] : sides[1].split(separator: ":", omittingEmptySubsequences: false)
    probability = ends.count < 2 ? nil : Double(ends[1])
    if ends.count == 2, probability == nil { throw refusal("a number after @") }
    if ["crop", "shift", "rotate", "zoom", "elastic"].contains(name), let last = values.last,
      let border = Augmentation.Border(rawValue: String(last))
    {
      self.border = border
      values.removeLast()
    }
  }

  func step() throws(DataError) -> Augmentation.Step {
    let change = try change()
    var usual = 1.0
    if case .flip = change { usual = 0.5 }
    return Augmentation.Step(change, probability: probability ?? usual)
  }

  private func change() throws(DataError) -> Augmentation.Change {
    switch name {
    case "crop": return .crop(padding: try pixels(1)[0], border: border)
    case "shift":
      let both = try pixels(1, 2)
      return .shift(columns: both[0], rows: both[both.count - 1], border: border)
    case "flip":
      guard values.count == 1, let mirror = Augmentation.Mirror(rawValue: String(values[0])) else {
        throw refusal("flip=horizontal or flip=vertical")
      }
      return .flip(mirror)
    case "rotate": return .rotate(degrees: try numbers(1)[0], border: border)
    case "zoom":
      let (from, to) = try factors()
      return .zoom(from: from, to: to, border: border)
    case "elastic":
      let both = try numbers(2)
      return .elastic(strength: both[0], smoothness: both[1], border: border)
    case "brightness": return .brightness(try numbers(1)[0])
    case "contrast":
      let (from, to) = try factors()
      return .contrast(from: from, to: to)
    case "erase": return .erase(side: try pixels(1)[0])
    case "noise": return .noise(deviation: try numbers(1)[0])
    case "mixup": return .mixUp(alpha: try numbers(1)[0])
    case "cutmix": return .cutMix(alpha: try numbers(1)[0])
    default:
      throw refusal(
        "one of crop, shift, flip, rotate, zoom, elastic, brightness, contrast, erase, noise, "
          + "mixup, cutmix")
    }
  }

  private func factors() throws(DataError) -> (from: Double, to: Double) {
    let both = try numbers(1, 2)
    return both.count == 2 ? (both[0], both[1]) : (1 - both[0], 1 + both[0])
  }

  private func numbers(_ counts: Int...) throws(DataError) -> [Double] {
    let numbers = values.compactMap { Double($0) }
    guard numbers.count == values.count, counts.contains(values.count) else {
      throw refusal(needs(counts, "number"))
    }
    return numbers
  }

  private func pixels(_ counts: Int...) throws(DataError) -> [Int] {
    let numbers = values.compactMap { Int($0) }
    guard numbers.count == values.count, counts.contains(values.count) else {
      throw refusal(needs(counts, "whole number"))
    }
    return numbers
  }

  private func needs(_ counts: [Int], _ what: String) -> String {
    let shapes = counts.map {
      "\(name)=" + Array(repeating: what, count: $0).joined(separator: ":")
    }
    return shapes.joined(separator: " or ")
  }

  private func refusal(_ wanted: String) -> DataError {
    DataError(.malformed, "augmentation step '\(whole)': requires \(wanted)")
  }
}
