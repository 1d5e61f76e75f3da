import KeelBackend
import KeelNN

extension HiddenUnitsWalk {
  /// Something that may do anything with its input.
  mutating func opaque(_ x: Features, _ here: Layered) -> Features {
    block(x, .opaque("it feeds \(here.title), whose inside is not known to keep the symmetry"))
    return nil
  }

  /// Remembers why these units cannot take part.
  mutating func block(_ x: Features, _ obstacle: HiddenUnits.Obstacle) {
    for unit in x ?? [] { ties.block(unit, obstacle) }
  }

  /// Ties the units of tensors that are added.
  mutating func join(_ x: Features, _ y: Features) -> Features {
    switch (x, y) {
    case (let x?, let y?) where x.count == y.count:
      for (first, second) in zip(x, y) { ties.tie(first, second) }
      return x
    default:
      let reason = HiddenUnits.Obstacle.opaque("it is added to what is not made of units")
      block(x, reason)
      block(y, reason)
      return nil
    }
  }

  /// Units of a layer's own.
  mutating func makeUnits(_ count: Int, _ here: Layered) -> [Int] {
    let units = ties.make(count)
    banks.append(HiddenUnits.Bank(layer: here.path, title: here.title, units: units))
    return units
  }

  mutating func activate(_ x: Features, _ activation: Activation, _ here: Layered) {
    guard symmetry == .scaling, !activation.isPositivelyHomogeneous else { return }
    block(
      x,
      .activation("\(here.title) applies \(activation), which is not positively homogeneous"))
  }

  mutating func dense(_ layer: Dense, _ here: Layered, _ x: Features) -> Features {
    guard let weight = layer.weight else { return opaque(x, here) }
    let units = makeUnits(weight.shape[1], here)
    addWeight(weight, rows: weight.shape[0], inputs: x, outputs: units, here)
    addVector(layer.bias, .bias, units)
    activate(units, layer.activation, here)
    return units
  }

  mutating func convolution(_ layer: Conv2D, _ here: Layered, _ x: Features) -> Features {
    guard let weight = layer.weight else { return opaque(x, here) }
    let (taps, rows) = (weight.shape[0] * weight.shape[1], weight.shape[2])
    let units = makeUnits(weight.shape[3], here)
    addWeight(
      weight, taps: taps, rows: rows, groups: layer.groups, inputs: x, outputs: units, here)
    addVector(layer.bias, .bias, units)
    if symmetry == .permutation, layer.groups > 1 {
      if rows == 1, let x, x.count == units.count {
        // Depthwise: a filter moves with its channel.
        _ = join(x, units)
      } else {
        let reason = HiddenUnits.Obstacle.opaque("\(here.title) works in groups of channels")
        block(x, reason)
        block(units, reason)
      }
    }
    activate(units, layer.activation, here)
    return units
  }

  mutating func batchNormalization(
    _ layer: BatchNorm, _ here: Layered, _ x: Features
  ) -> Features {
    guard let gamma = layer.gamma else { return opaque(x, here) }
    var units = x
    if symmetry == .scaling {
      // The running statistics go with what comes in, the scale and the shift with what goes out.
      block(x, .batchNormalization("\(here.title) normalises it, which is exact up to epsilon"))
      units = makeUnits(gamma.shape[0], here)
    }
    addVector(gamma, .norm, units)
    addVector(layer.beta, .norm, units)
    addState(layer.mean, .norm, x)
    addState(layer.variance, .variance, x)
    activate(units, layer.activation, here)
    return units
  }

  /// Normalisation of each example over its units: what comes in scales by nothing, or is exchanged
  /// freely.
  mutating func rowNormalization(
    _ parameters: [Parameter?], _ here: Layered, _ x: Features
  ) -> Features {
    var units = x
    if symmetry == .scaling {
      block(x, .opaque("\(here.title) normalises it together with other units"))
      units = makeUnits(parameters.first??.shape.count ?? 0, here)
    }
    for parameter in parameters { addVector(parameter, .norm, units) }
    return units
  }

  mutating func residual(_ layer: Residual, _ here: Layered, _ x: Features) -> Features {
    let main = run(layer.main, at: here.path, x)
    var other = x
    if let shortcut = layer.shortcut {
      other = run(shortcut, at: child("shortcut", of: here.path), x)
    }
    let sum = join(main, other)
    activate(sum, layer.activation, here)
    return sum
  }

  /// Units of several tensors one after the other. A part that nobody knows takes the rest of the
  /// channels, which are no units.
  mutating func sideBySide(_ parts: [Features], _ here: Layered) -> Features {
    let known = parts.reduce(0) { $0 + ($1?.count ?? 0) }
    let rest = (outputs[here.path]?.extents.last ?? 0) - known
    guard rest >= 0, parts.count(where: { $0 == nil }) == (rest > 0 ? 1 : 0) else {
      for part in parts { _ = opaque(part, here) }
      return nil
    }
    return parts.flatMap { $0 ?? [Int](repeating: 0, count: rest) }
  }

  mutating func flatten(_ x: Features, _ here: Layered) -> Features {
    guard let x else { return nil }
    guard let count = outputs[here.path]?.count, !x.isEmpty, count % x.count == 0 else {
      return opaque(x, here)
    }
    return (0..<count).map { x[$0 % x.count] }
  }
}
