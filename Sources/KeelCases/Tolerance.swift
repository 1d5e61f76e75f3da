package import KeelBackend
internal import Glibc

/// How far a float32 result may lie from the oracle, in words. The unit is u = 2^-24, the
/// relative error of one rounding, times the magnitude of the element (see ``Magnitude``).
package indirect enum Tolerance: Sendable, Hashable {
  /// The same bits: copies, choices, comparisons, counting, random words.
  case exact
  /// At most four roundings in a row: sums and products of a formula.
  case rounding
  /// Division and square root: OpenCL allows 2.5 and 3 units in the last place, 6 u at most;
  /// two roundings may follow.
  case division
  /// Functions: OpenCL allows up to 16 units in the last place (pow, erf), 32 u, and the formula
  /// around them rounds a few times.
  case transcendental
  /// A sum of `n` terms: over a tree each term is rounded once per level, log2 n levels, twice
  /// where lanes of vectors are summed too; eight for the formula around it. One long chain in
  /// float32 is worse than that and does not pass where n is large.
  case sum(of: Int)
  /// A sum of `n` terms within functions: softmax, normalisation, mean of losses.
  case transcendentalSum(of: Int)
  /// A result that is kept in a 16-bit type: so many roundings to it in a row, 2^-11 (float16) or
  /// 2^-8 (bfloat16) relative each, besides what the arithmetic in float32 may do.
  case stored(DType, roundings: Int, Tolerance)

  /// Sums of products whose operands are rounded to tf32, by 2^-11 of each at most, beside what
  /// the sum in float32 is allowed.
  case tensorFloat32(Tolerance)

  /// The largest error allowed, in units of u times the magnitude.
  package var bound: Double {
    switch self {
    case .exact: 0
    case .rounding: 4
    case .division: 8
    case .transcendental: 40
    case .sum(let n): 8 + 2 * log2(Double(max(n, 2)))
    case .tensorFloat32(let sum): 2 * 0x1p-11 / Tolerance.unit + sum.bound
    case .transcendentalSum(let n): 40 + 2 * log2(Double(max(n, 2)))
    case .stored(let dtype, let roundings, let arithmetic):
      1.01 * (arithmetic.bound + Double(roundings) * HalfFormat(dtype).unit / Tolerance.unit)
    }
  }

  /// The bound for a gradient, relative to the largest element of the exact gradient: the pullback
  /// runs the forward's arithmetic about twice and reads the forward's rounded results, and the
  /// differences of the oracle are themselves good to about 10 u.
  ///
  /// In 16 bits the pullback also reads results that were rounded so, and the gradients on their
  /// way are: four times as many roundings in all.
  package var gradientBound: Double { 64 + 4 * bound }

  /// The relative error of one rounding in float32.
  package static let unit = 0x1p-24
}

/// What an element's error is measured against: the condition of the computation.
package enum Magnitude: Sendable {
  /// The expected element itself.
  case element
  /// The sum of the absolute values of the terms: the oracle of the operands' absolute values.
  /// Right for what is linear in each operand.
  case terms
  /// The largest expected element of the output: an error relative to the norm.
  case largest
  /// Given by a formula of the operands, one array per output.
  case given(@Sendable (_ inputs: [[Double]]) -> [[Double]])
}
