import Glibc
import KeelAutograd
import KeelBackend
import KeelNN

/// Multiplies the numbers of a model by the powers of two that the exponents of units say.
struct EquityFold {
  private let exponents: [Int]
  private let units: HiddenUnits
  private var inexact = 0

  /// - Parameter exponents: log2 of the multiplier of each unit, by number.
  init(_ exponents: [Int], _ units: HiddenUnits) {
    self.exponents = exponents
    self.units = units
  }

  /// Transforms parameters (times c, divided by the c of what they read), gradients and first
  /// moments (the inverse), second moments (the square of the inverse) and running statistics.
  /// Returns how many parameters lost bits to underflow.
  ///
  /// - Parameter gradientSizes: what a stage remembers of gradients, which goes as they do.
  func apply(
    to model: Model, moments: [NDArray], gradientSizes: NDArray? = nil
  ) throws(TensorError) -> Int {
    var fold = self
    return try fold.run(model, moments, gradientSizes)
  }

  private mutating func run(
    _ model: Model, _ moments: [NDArray], _ gradientSizes: NDArray?
  ) throws(TensorError) -> Int {
    let (arena, backend) = (model.arena, model.device.backend)
    // Parameters first: nothing is uploaded before all of them are known to fit.
    let parallel = [(arena.parameters, 1), (arena.gradients, -1)]
    let sizes = gradientSizes.map { [($0, -1)] } ?? []
    let arrays = parallel + sizes + zip(moments, [-1, -2]).map { ($0, $1) }
    var transformed: [[Float]] = []
    for (array, power) in arrays {
      var values: [Float] = try onDevice { () throws(DeviceError) in
        try backend.scalars(array)
      }
      for site in units.sites {
        guard case .parameter(let number) = site.place else { continue }
        let parameter = model.parameters[number]
        guard let first = parameter.place?.offset else { continue }
        let fits = scale(&values, site, from: first, power: power, isExact: power == 1)
        guard fits || power != 1 else { throw overflow(parameter.name) }
      }
      transformed.append(values)
    }
    var states: [(NDArray, [Float])] = []
    for site in units.sites {
      guard case .state(let number) = site.place, let tensor = model.states[number].tensor
      else { continue }
      var values = try tensor.scalars()
      let fits = scale(&values, site, from: 0, power: site.role == .variance ? 2 : 1)
      guard fits else { throw overflow(site.name) }
      states.append((tensor.value, values))
    }
    try onDevice { () throws(DeviceError) in
      for ((array, _), values) in zip(arrays, transformed) {
        try backend.upload(values, to: array)
      }
      for (array, values) in states { try backend.upload(values, to: array) }
    }
    return inexact
  }

  /// Multiplies a site's elements by 2^(power * exponent); whether none became infinite.
  private mutating func scale(
    _ values: inout [Float], _ site: UnitSite, from first: Int, power: Int, isExact: Bool = false
  ) -> Bool {
    var fits = true
    let columns = site.columns
    let made = site.outputs.map { exponents[$0] }
    for row in 0..<(site.taps * site.rows) {
      for column in 0..<columns {
        var exponent = made[column]
        if site.isWeight { exponent -= exponents[site.input(row: row % site.rows, column: column)] }
        guard exponent != 0 else { continue }
        let place = first + row * columns + column
        let value = values[place]
        let scaled = scalbn(value, power * exponent)
        if isExact, scaled.isSubnormal || scaled == 0, value != 0 { inexact += 1 }
        fits = fits && (scaled.isFinite || !value.isFinite)
        values[place] = scaled
      }
    }
    return fits
  }

  private func overflow(_ name: String) -> TensorError {
    .shape(
      ShapeError(
        "equity", requires: "multipliers that keep parameters finite",
        gotText: "an infinite number in \(name)"))
  }
}
