public import KeelBackend

extension Schedule: CustomStringConvertible {
  /// Every form that ``init(parsing:updatesPerEpoch:)`` reads; what stands in brackets may be left
  /// out.
  public static let forms = [
    "constant", "step:EVERY,FACTOR", "multistep:AT,AT,…,FACTOR", "exponential:FACTOR[,EVERY]",
    "polynomial:UPDATES,POWER[,END]", "linear:UPDATES[,END]", "cosine:UPDATES[,END]",
    "restarts:PERIOD[,MULTIPLIER[,END]]", "warmup:UPDATES[,START],SCHEDULE",
    "onecycle:UPDATES[,START_DIVISOR,END_DIVISOR]", "noam:WIDTH,WARMUP", "inverse-sqrt:WARMUP",
  ]

  /// Reads the text form, such as `cosine:1000`, `step:30,0.1` or `warmup:100,cosine:1000`.
  ///
  /// - Parameter updatesPerEpoch: if known, counts may also be given in epochs: `cosine:10e`.
  /// - Throws: ``TensorError/shape(_:)`` that lists the accepted forms, or names the option that is
  ///   not usable.
  public init(parsing text: String, updatesPerEpoch: Int? = nil) throws(TensorError) {
    let reader = ScheduleReader(text: text, updatesPerEpoch: updatesPerEpoch)
    self = try reader.schedule(text)
    try validate()
  }

  /// The text form that ``init(parsing:updatesPerEpoch:)`` reads, with every option.
  public var description: String {
    switch self {
    case .constant: "constant"
    case .step(let every, let factor): "step:\(every),\(factor)"
    case .multiStep(let places, let factor):
      "multistep:" + places.map { "\($0)," }.joined() + "\(factor)"
    case .exponential(let factor, let every): "exponential:\(factor),\(every)"
    case .polynomial(let updates, let power, let end): "polynomial:\(updates),\(power),\(end)"
    case .linear(let updates, let end): "linear:\(updates),\(end)"
    case .cosine(let updates, let end): "cosine:\(updates),\(end)"
    case .cosineRestarts(let period, let multiplier, let end):
      "restarts:\(period),\(multiplier),\(end)"
    case .warmup(let updates, let start, let then): "warmup:\(updates),\(start),\(then)"
    case .oneCycle(let updates, let startDivisor, let endDivisor):
      "onecycle:\(updates),\(startDivisor),\(endDivisor)"
    case .noam(let width, let warmup): "noam:\(width),\(warmup)"
    case .inverseSquareRoot(let warmup): "inverse-sqrt:\(warmup)"
    }
  }

  /// Reads a learning rate from text.
  ///
  /// - Throws: ``TensorError/shape(_:)`` that lists the accepted forms unless it is a finite number
  ///   above 0.
  public static func learningRate(parsing text: String) throws(TensorError) -> Float {
    guard let value = Float(text), value.isFinite, value > 0 else {
      throw .shape(
        ShapeError(
          "learning rate",
          requires: "a finite number above 0, such as 0.01; a schedule is given beside it, as "
            + forms.joined(separator: " | "),
          gotText: "'\(text)'"))
    }
    return value
  }
}

extension Schedule: Codable {
  /// Reads the text form, and refuses options that are not usable.
  public init(from decoder: any Decoder) throws {
    try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
  }

  /// Writes the text form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Takes the text form of a schedule apart.
private struct ScheduleReader {
  let text: String
  let updatesPerEpoch: Int?

  func schedule(_ part: String) throws(TensorError) -> Schedule {
    let halves = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = halves.first.map(String.init) ?? ""
    let rest = halves.count > 1 ? String(halves[1]) : ""
    if name == "warmup" { return try warmup(rest) }
    let words =
      rest.isEmpty
      ? [] : rest.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard let form = Schedule.forms.first(where: { $0.prefix { $0 != ":" } == name }),
      !part.hasSuffix(":")
    else { throw refusal() }
    return try schedule(name, words, form: form)
  }

  private func schedule(
    _ name: String, _ words: [String], form: String
  ) throws(TensorError) -> Schedule {
    switch (name, words.count) {
    case ("constant", 0): return .constant
    case ("step", 2): return .step(every: try count(words[0]), factor: try number(words[1]))
    case ("multistep", 2...):
      var places: [Int] = []
      for word in words.dropLast() { places.append(try count(word)) }
      return .multiStep(at: places, factor: try number(words[words.count - 1]))
    case ("exponential", 1...2):
      return .exponential(
        factor: try number(words[0]), every: words.count > 1 ? try count(words[1]) : 1)
    case ("polynomial", 2...3):
      return .polynomial(
        updates: try count(words[0]), power: try number(words[1]), end: try number(words, 2))
    case ("linear", 1...2):
      return .linear(updates: try count(words[0]), end: try number(words, 1))
    case ("cosine", 1...2):
      return .cosine(updates: try count(words[0]), end: try number(words, 1))
    case ("restarts", 1...3):
      return .cosineRestarts(
        period: try count(words[0]), multiplier: words.count > 1 ? try count(words[1]) : 1,
        end: try number(words, 2))
    case ("onecycle", 1): return .oneCycle(updates: try count(words[0]))
    case ("onecycle", 3):
      return .oneCycle(
        updates: try count(words[0]), startDivisor: try number(words[1]),
        endDivisor: try number(words[2]))
    case ("noam", 2): return .noam(modelWidth: try count(words[0]), warmup: try count(words[1]))
    case ("inverse-sqrt", 1): return .inverseSquareRoot(warmup: try count(words[0]))
    default:
      throw .shape(ShapeError("schedule", requires: "the form \(form)", gotText: "'\(text)'"))
    }
  }

  /// UPDATES[,START],SCHEDULE: what starts with a letter is the schedule that follows.
  private func warmup(_ rest: String) throws(TensorError) -> Schedule {
    var words: [String] = []
    var remaining = Substring(rest)
    while let comma = remaining.firstIndex(of: ","), words.count < 2 {
      words.append(String(remaining[..<comma]))
      remaining = remaining[remaining.index(after: comma)...]
      if remaining.first?.isLetter == true { break }
    }
    // One warm-up is enough, and text of any length must not nest without end.
    guard let first = words.first, remaining.first?.isLetter == true,
      !remaining.hasPrefix("warmup")
    else {
      throw .shape(
        ShapeError(
          "schedule", requires: "the form warmup:UPDATES[,START],SCHEDULE", gotText: "'\(text)'"))
    }
    return .warmup(
      updates: try count(first), start: try number(words, 1),
      then: try schedule(String(remaining)))
  }

  /// An option that may be left out: then 0.
  private func number(_ words: [String], _ place: Int) throws(TensorError) -> Double {
    place < words.count ? try number(words[place]) : 0
  }

  private func number(_ word: String) throws(TensorError) -> Double {
    guard let value = Double(word), value.isFinite else {
      throw refusal("a finite number for '\(word)'; accepted are ")
    }
    return value
  }

  /// A count of updates, or of epochs if an `e` follows.
  private func count(_ word: String) throws(TensorError) -> Int {
    if let value = Int(word) { return value }
    if word.hasSuffix("e"), let epochs = Int(word.dropLast()) {
      guard let updatesPerEpoch else {
        throw .shape(
          ShapeError(
            "schedule", requires: "a count of updates where the length of an epoch is not known",
            gotText: "'\(word)'"))
      }
      let (updates, overflows) = epochs.multipliedReportingOverflow(by: updatesPerEpoch)
      if !overflows { return updates }
    }
    throw refusal(
      "a count of updates such as 1000, or of epochs such as 10e, for '\(word)'; accepted are ")
  }

  private func refusal(_ start: String = "one of ") -> TensorError {
    .shape(
      ShapeError(
        "schedule", requires: start + Schedule.forms.joined(separator: " | "),
        gotText: "'\(text)'"))
  }
}
