import KeelBackend
import KeelNN

/// Follows units through the layers of a network.
struct HiddenUnitsWalk {
  /// The units along the last axis of a tensor; nil where nobody knows them, as of the input.
  typealias Features = [Int]?

  let symmetry: HiddenUnits.Symmetry
  let model: Model
  let outputs: [String: Shape]
  var ties = UnitTies()
  var banks: [HiddenUnits.Bank] = []
  var sites: [UnitSite] = []
  var parameterNumbers: [ObjectIdentifier: Int] = [:]
  var stateNumbers: [ObjectIdentifier: Int] = [:]

  init(_ model: Model, _ symmetry: HiddenUnits.Symmetry) {
    self.model = model
    self.symmetry = symmetry
    outputs = Dictionary(model.builtLayers.map { ($0.path, $0.output) }) { first, _ in first }
    for (number, parameter) in model.parameters.enumerated() {
      parameterNumbers[ObjectIdentifier(parameter)] = number
    }
    for (number, state) in model.states.enumerated() {
      stateNumbers[ObjectIdentifier(state)] = number
    }
  }

  mutating func walk() {
    let features = run(model.network, at: "", nil) ?? []
    // What the network gives is seen from outside.
    for unit in features { ties.tie(0, unit) }
  }

  func result() -> HiddenUnits {
    let (numbers, obstacles) = ties.numbered()
    var families = UnitTies()
    let familyOfBank = families.make(banks.count)
    var firstBank = [Int](repeating: -1, count: obstacles.count)
    for (bank, place) in banks.enumerated() {
      for unit in place.units.map({ numbers[$0] }) where unit != 0 {
        if firstBank[unit] < 0 { firstBank[unit] = bank }
        families.tie(familyOfBank[firstBank[unit]], familyOfBank[bank])
      }
    }
    return HiddenUnits(
      count: obstacles.count - 1, obstacles: obstacles,
      families: firstBank.map { $0 < 0 ? 0 : families.root(of: familyOfBank[$0]) },
      banks: banks.map {
        HiddenUnits.Bank(layer: $0.layer, title: $0.title, units: $0.units.map { numbers[$0] })
      },
      sites: sites.map { site in
        var site = site
        site.inputs = site.inputs.map { numbers[$0] }
        site.outputs = site.outputs.map { numbers[$0] }
        return site
      })
  }

  /// The units that a layer gives for the units that it gets.
  mutating func run(_ layer: any Layer, at path: String, _ x: Features) -> Features {
    let here = Layered(path: path, kind: layer.kind)
    switch layer {
    case let layer as NamedLayer: return run(layer.layer, at: path, x)
    case let layer as Sequential:
      var x = x
      for (name, part) in zip(layer.names, layer.layers) {
        x = run(part, at: child(name, of: path), x)
      }
      return x
    case let layer as Dense:
      return dense(layer, here, x)
    case let layer as Conv2D:
      return convolution(layer, here, x)
    case let layer as any PointwiseLayer:
      activate(x, layer.activation, here)
      return x
    case let layer as BatchNorm:
      return batchNormalization(layer, here, x)
    case let layer as LayerNorm:
      return rowNormalization([layer.gamma, layer.beta], here, x)
    case let layer as RMSNorm:
      return rowNormalization([layer.gamma], here, x)
    case let layer as GroupNorm:
      if symmetry == .permutation {
        block(x, .opaque("\(here.title) normalises groups of channels"))
      }
      let y = rowNormalization([layer.gamma, layer.beta], here, x)
      activate(y, layer.activation, here)
      return y
    case let layer as Residual:
      return residual(layer, here, x)
    case let layer as DenseConnection:
      return sideBySide([x, run(layer.main, at: path, x)], here)
    case let layer as Concatenate:
      var parts: [Features] = []
      for (number, branch) in layer.branches.enumerated() {
        parts.append(run(branch, at: child("branch\(number + 1)", of: path), x))
      }
      return sideBySide(parts, here)
    case let layer as ReZero:
      return join(x, run(layer.branch, at: child("branch", of: path), x))
    case is MaxPool2D, is AvgPool2D, is GlobalAvgPool2D, is Dropout: return x
    case is Flatten: return flatten(x, here)
    default: return opaque(x, here)
    }
  }
}

extension HiddenUnitsWalk {
  func child(_ name: String, of path: String) -> String {
    path.isEmpty ? name : "\(path).\(name)"
  }
}

/// A layer, for messages.
struct Layered {
  var path: String
  var kind: String
  var title: String { path.isEmpty ? kind : "\(path) (\(kind))" }
}

extension HiddenUnitsWalk {
  /// Notes a weight whose last axis makes units and whose axis before uses them.
  mutating func addWeight(
    _ weight: Parameter, taps: Int = 1, rows: Int, groups: Int = 1, inputs: Features,
    outputs: [Int], _ here: Layered
  ) {
    guard let number = parameterNumbers[ObjectIdentifier(weight)] else { return }
    var used = inputs
    if let inputs, inputs.count != rows * groups {
      block(inputs, .opaque("\(here.title) takes its input in another order"))
      used = nil
    }
    let all = used ?? [Int](repeating: 0, count: rows * groups)
    sites.append(
      UnitSite(
        place: .parameter(number), name: weight.name, role: .weight, taps: taps, rows: rows,
        groups: groups, inputs: all, outputs: outputs))
    guardFrozen(weight, all + outputs)
  }

  /// Notes numbers of which each unit has one.
  mutating func addVector(_ parameter: Parameter?, _ role: UnitSite.Role, _ units: Features) {
    guard let parameter, let units else { return }
    guard units.count == parameter.shape.count,
      let number = parameterNumbers[ObjectIdentifier(parameter)]
    else { return block(units, .opaque("\(parameter.name) has another order")) }
    sites.append(
      UnitSite(place: .parameter(number), name: parameter.name, role: role, outputs: units))
    guardFrozen(parameter, units)
  }

  /// Notes running statistics.
  mutating func addState(_ state: StateBuffer?, _ role: UnitSite.Role, _ units: Features) {
    guard let state, let units else { return }
    guard units.count == state.shape.count,
      let number = stateNumbers[ObjectIdentifier(state)]
    else { return block(units, .opaque("\(state.name) has another order")) }
    sites.append(UnitSite(place: .state(number), name: state.name, role: role, outputs: units))
  }

  /// Frozen parameters stay bit for bit.
  private mutating func guardFrozen(_ parameter: Parameter, _ units: [Int]) {
    if !parameter.isTrainable { block(units, .opaque("\(parameter.name) is frozen")) }
  }
}

extension Activation {
  /// Whether f(c * x) = c * f(x) for every c > 0.
  var isPositivelyHomogeneous: Bool {
    switch self {
    case .identity, .relu, .leakyRelu: true
    default: false
    }
  }
}
