public import KeelBackend

/// How the first values of a parameter are made.
///
/// Values come from Philox in Double on the host and are uploaded: the same seed gives the same
/// bits on every device.
public enum Initializer: Hashable, Sendable, Codable {
  /// All elements 0.
  case zeros
  /// All elements 1.
  case ones
  /// All elements equal.
  case constant(Float)
  /// As many equal segments as there are numbers, the elements of each equal: the bias of gates,
  /// which begin at different values.
  case segments([Float])
  /// Uniform in [low, high).
  case uniform(low: Float, high: Float)
  /// Normal.
  case normal(mean: Float, deviation: Float)
  /// Normal, drawn again beyond two standard deviations; the deviation of what remains is
  /// `deviation` (the parent's is divided by 0.8796).
  case truncatedNormal(mean: Float, deviation: Float)
  /// Mean 0 and variance scale / n, where n is the fan that `mode` names. Everything by Glorot,
  /// He and LeCun is a case of it.
  case varianceScaling(scale: Float, mode: Fan, distribution: Distribution)
  /// Orthonormal rows or columns (whichever are fewer) times `gain`, of the matrix whose columns
  /// are the last axis. Saxe et al., 2013.
  case orthogonal(gain: Float = 1)
  /// `gain` on the diagonal and 0 elsewhere, of a matrix of any extents. Of a convolution: at the
  /// centre tap, channel i to filter i of each group (Dirac), so that with stride 1 and same
  /// padding the layer passes its input on.
  case identity(gain: Float = 1)
  /// Each output has exactly `connections` inputs (all of them, if there are fewer) whose weights
  /// are normal with mean 0 and `deviation`; the others are 0. Martens, 2010.
  case sparse(connections: Int = 15, deviation: Float = 1)

  /// Which connections variance scaling counts.
  public enum Fan: String, Hashable, Sendable, Codable {
    /// The inputs of one output: keeps the variance of activations.
    case fanIn
    /// The outputs of one input: keeps the variance of gradients.
    case fanOut
    /// The mean of both.
    case average
  }

  /// The form of the distribution; its variance is the same.
  public enum Distribution: String, Hashable, Sendable, Codable {
    /// Uniform in ±sqrt(3 * variance).
    case uniform
    /// Normal, drawn again beyond two standard deviations.
    case truncatedNormal
    /// Normal.
    case normal
  }

  /// Variance 2 / (fanIn + fanOut), uniform. Glorot & Bengio, 2010.
  public static let glorotUniform = varianceScaling(
    scale: 1, mode: .average, distribution: .uniform)
  /// Variance 2 / (fanIn + fanOut), truncated normal. Glorot & Bengio, 2010.
  public static let glorotNormal = varianceScaling(
    scale: 1, mode: .average, distribution: .truncatedNormal)
  /// Variance 2 / fanIn, uniform. He et al., 2015.
  public static let heUniform = varianceScaling(scale: 2, mode: .fanIn, distribution: .uniform)
  /// Variance 2 / fanIn, truncated normal. He et al., 2015.
  public static let heNormal = varianceScaling(
    scale: 2, mode: .fanIn, distribution: .truncatedNormal)
  /// Variance 1 / fanIn, uniform. LeCun et al., 1998.
  public static let lecunUniform = varianceScaling(scale: 1, mode: .fanIn, distribution: .uniform)
  /// Variance 1 / fanIn, truncated normal. LeCun et al., 1998.
  public static let lecunNormal = varianceScaling(
    scale: 1, mode: .fanIn, distribution: .truncatedNormal)

  /// What is wrong with its numbers for a shape, as the end of "requires …", or nil.
  package func complaint(for shape: Shape) -> String? {
    switch self {
    case .zeros, .ones, .constant: nil
    case .segments(let values):
      !values.isEmpty && values.allSatisfy(\.isFinite) ? nil : "finite values, at least one"
    case .uniform(let low, let high):
      low.isFinite && high.isFinite && low <= high ? nil : "finite bounds, low <= high"
    case .normal(let mean, let deviation), .truncatedNormal(let mean, let deviation):
      mean.isFinite && deviation.isFinite && deviation >= 0
        ? nil : "a finite mean and a finite deviation of at least 0"
    case .varianceScaling(let scale, _, _):
      scale.isFinite && scale > 0 ? nil : "a finite scale above 0"
    case .orthogonal(let gain): gain.isFinite ? nil : "a finite gain"
    case .identity(let gain):
      gain.isFinite && shape.rank >= 2 ? nil : "a finite gain and a shape of two axes or more"
    case .sparse(let connections, let deviation):
      connections >= 1 && deviation.isFinite && deviation >= 0
        ? nil : "at least one connection and a finite deviation of at least 0"
    }
  }

  /// The standard deviation that the elements have in expectation; 0 of the identity.
  public func expectedDeviation(shape: Shape, fanIn: Int, fanOut: Int) -> Double {
    switch self {
    case .zeros, .ones, .constant, .segments, .identity: 0
    case .uniform(let low, let high): Double(high - low) / 12.0.squareRoot()
    case .normal(_, let deviation), .truncatedNormal(_, let deviation): Double(deviation)
    case .varianceScaling(let scale, let mode, _):
      (Double(scale) / mode.count(fanIn: fanIn, fanOut: fanOut)).squareRoot()
    case .orthogonal(let gain):
      Double(abs(gain)) / Double(max(shape.matrixRows, shape.matrixColumns, 1)).squareRoot()
    case .sparse(let connections, let deviation):
      (Double(min(connections, shape.matrixRows)) / Double(max(shape.matrixRows, 1))).squareRoot()
        * Double(deviation)
    }
  }
}

extension Initializer.Fan {
  func count(fanIn: Int, fanOut: Int) -> Double {
    let count =
      switch self {
      case .fanIn: Double(fanIn)
      case .fanOut: Double(fanOut)
      case .average: Double(fanIn + fanOut) / 2
      }
    return max(count, 1)
  }
}

extension Shape {
  /// The extents of this shape as a matrix whose columns are the last axis.
  var matrixColumns: Int { extents.last ?? 1 }
  var matrixRows: Int { extents.dropLast().reduce(1, *) }
}
