import KeelBackend

extension Model {
  /// How many numbers all parameters have.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.count } }

  /// How many of them training changes.
  public var trainableParameterCount: Int {
    parameters.reduce(0) { $1.isTrainable ? $0 + $1.shape.count : $0 }
  }

  /// A table of the layers: what they are, the shape of their output, the count of their
  /// parameters, and the standard deviation that their first weights had.
  public func summary() -> String {
    var rows = [["layer", "kind", "output", "parameters", "initial deviation"]]
    rows.append(["input", "", "\(inputShape)", "", ""])
    for layer in layers {
      let frozen =
        !layer.parameters.isEmpty && layer.parameters.allSatisfy { !$0.isTrainable }
      rows.append([
        layer.name, layer.kind, "\(layer.output)",
        layer.parameters.isEmpty
          ? "-" : grouped(layer.parameterCount) + (frozen ? " (frozen)" : ""),
        deviations(of: layer),
      ])
    }
    let count = parameterCount
    let bytes = arena.count * 4
    return table(rows) + "\n\(grouped(count)) parameters, "
      + "\(grouped(trainableParameterCount)) of them trainable; \(size(bytes)) on \(device)\n"
  }

  private func deviations(of layer: LayerSummary) -> String {
    let parts = layer.parameters.compactMap { parameter -> String? in
      guard parameter.shape.rank >= 2, let place = parameter.place else { return nil }
      let name = parameter.name.split(separator: ".").last.map(String.init) ?? parameter.name
      return "\(name) \(decimal(place.firstDeviation))"
    }
    return parts.isEmpty ? "-" : parts.joined(separator: ", ")
  }

  /// Lines of columns, the fourth aligned at the right.
  private func table(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let lines = rows.map { row in
      row.enumerated().map { column, cell in
        let gap = String(repeating: " ", count: widths[column] - cell.count)
        return column == 3 ? gap + cell : cell + gap
      }.joined(separator: "  ").trimmingEnd()
    }
    let rule = String(repeating: "-", count: widths.reduce(2 * (widths.count - 1), +))
    return ([lines[0], rule] + lines.dropFirst() + [rule]).joined(separator: "\n")
  }
}

extension String {
  fileprivate func trimmingEnd() -> String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}

/// Digits in groups of three, such as `692,106`.
private func grouped(_ number: Int) -> String {
  var text = ""
  for (place, digit) in String(number).reversed().enumerated() {
    if place > 0, place % 3 == 0 { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}

/// Five decimals.
private func decimal(_ value: Double) -> String {
  let scaled = Int((value * 100_000).rounded())
  let fraction = String(scaled % 100_000)
  return "\(scaled / 100_000)." + String(repeating: "0", count: 5 - fraction.count) + fraction
}

private func size(_ bytes: Int) -> String {
  bytes < 1 << 20 ? "\((bytes + 1023) / 1024) KiB" : "\((bytes + (1 << 20) - 1) >> 20) MiB"
}
