import KeelBackend
package import KeelNN

/// Which numbers of a model belong to which hidden unit: columns of the weights and biases that
/// make it, the normalisation of it, and the rows of the weights that use it.
///
/// A unit is what the symmetries of a network act on. Units that an addition ties together (a
/// residual join) are one unit; each output channel of a convolution is one, wherever flattening
/// puts its elements.
package struct HiddenUnits {
  /// What is to be done with units while the network's function stays as it is.
  package enum Symmetry {
    /// Multiply a unit by a positive number, and divide where it is used. Exact through what is
    /// positively homogeneous.
    case scaling
    /// Exchange two units of a layer. Exact through everything that treats units alike.
    case permutation
  }

  /// Why a unit must stay as it is; of several reasons the largest counts.
  package enum Obstacle: Hashable, Comparable {
    /// A batch normalisation uses it: its variance has an epsilon, which does not scale.
    case batchNormalization(String)
    /// A nonlinearity that is not positively homogeneous is applied to it.
    case activation(String)
    /// It meets something whose inside is not known to keep the symmetry, or must not change.
    case opaque(String)

    /// The reason, as the end of "… because".
    package var reason: String {
      switch self {
      case .batchNormalization(let reason), .activation(let reason), .opaque(let reason): reason
      }
    }
  }

  /// The units of one layer.
  package struct Bank {
    /// The layer's path.
    package var layer: String
    /// The layer with its kind, for messages.
    package var title: String
    /// Its units, in the order of its output; 0 for an output of the network, which is none.
    package var units: [Int]
  }

  /// Every unit has a number from 1; 0 stands for what is not a unit.
  package let count: Int
  /// Why a unit cannot take part, or nil, by number; of 0 too.
  package let obstacles: [Obstacle?]
  /// The number of the family of banks that a unit is in: banks are one family if some of their
  /// units are tied together. Of 0: 0.
  package let families: [Int]
  /// The layers that make units.
  package let banks: [Bank]
  /// The tensors that units live in.
  package let sites: [UnitSite]

  /// Finds the units of a model.
  package init(_ model: Model, _ symmetry: Symmetry) {
    var walk = HiddenUnitsWalk(model, symmetry)
    walk.walk()
    self = walk.result()
  }

  init(
    count: Int, obstacles: [Obstacle?], families: [Int], banks: [Bank], sites: [UnitSite]
  ) {
    self.count = count
    self.obstacles = obstacles
    self.families = families
    self.banks = banks
    self.sites = sites
  }

  /// Whether a unit can be changed.
  package func isFree(_ unit: Int) -> Bool { unit != 0 && obstacles[unit] == nil }

  /// Why no unit can be changed, as what was got in place of one that can.
  var noneBecause: String {
    for bank in banks {
      if let reason = bank.units.lazy.compactMap({ $0 == 0 ? nil : obstacles[$0]?.reason }).first {
        return "none: those of \(bank.title) stay as they are, since \(reason)"
      }
    }
    return "none: there are no hidden units"
  }
}

/// A tensor of a model in which units live, and which of its elements are whose.
package struct UnitSite {
  /// Where the tensor is.
  package enum Place: Hashable {
    /// The number of a parameter of the model.
    case parameter(Int)
    /// The number of a state of the model.
    case state(Int)
  }

  /// What its elements are to the unit that they make.
  package enum Role {
    case weight, bias
    /// Of a normalisation: scale, shift, running mean; they scale with the unit.
    case norm
    /// A running variance: it scales with the square.
    case variance
  }

  package var place: Place
  package var name: String
  package var role: Role
  /// How often the pattern of inputs x outputs repeats: the taps of a filter.
  package var taps = 1
  /// The inputs of one output.
  package var rows = 1
  /// Parts of the outputs, each with inputs of its own.
  package var groups = 1
  /// The unit of each input, groups x rows; empty for everything but weights.
  package var inputs: [Int] = []
  /// The unit that each element of the last axis is part of.
  package var outputs: [Int]

  package var columns: Int { outputs.count }
  package var isWeight: Bool { role == .weight }

  /// The unit of the input that element (row, column) of a weight multiplies.
  package func input(row: Int, column: Int) -> Int {
    inputs[column / (columns / groups) * rows + row]
  }
}
