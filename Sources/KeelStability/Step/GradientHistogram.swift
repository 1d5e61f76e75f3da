package import KeelBackend
import KeelNN

/// How the magnitudes of a parameter's gradient are distributed.
public struct GradientHistogram: Hashable, Sendable {
  /// The parameter.
  public var parameter: String
  /// How many elements are in each bin; those that are 0 or not finite are in none.
  public var counts: [Int]

  /// What bin `number` holds, as logarithms to base 2: magnitudes in 2^lower ..< 2^upper. Smaller
  /// ones are in the first bin.
  public static func exponents(
    ofBin number: Int
  ) -> (lower: Double, middle: Double, upper: Double) {
    let lower = 16 * Double(number) - 128
    return (lower, lower + 8, lower + 16)
  }

  package init(parameter: String, counts: [Int]) {
    self.parameter = parameter
    self.counts = counts
  }
}

extension Updater {
  /// The exponents of the gradients of the last step, which must have counted them. Waits for the
  /// device.
  package func histograms() throws(TensorError) -> [GradientHistogram] {
    let (reading, parameters) = (pipeline.reading, pipeline.model.parameters)
    let counts: [Int32] = try onDevice { () throws(DeviceError) in
      try pipeline.model.device.backend.scalars(reading.histogram)
    }
    let bins = parameters.isEmpty ? 0 : counts.count / parameters.count
    return parameters.enumerated().map { number, parameter in
      GradientHistogram(
        parameter: parameter.name,
        counts: counts[(number * bins)..<((number + 1) * bins)].map(Int.init))
    }
  }
}
