/// How the elements along the reduced axes become one.
public enum ReductionKind: String, Sendable, CaseIterable {
  /// The sum, over a fixed tree.
  case sum
  /// The sum divided by the count.
  case mean
  /// The largest element; NaN if there is one.
  case max
  /// The smallest element; NaN if there is one.
  case min
}

/// Sums, means and extremes over any axes.
package protocol ReductionBackend {
  /// out[kept] = reduction over the elements of x along `axes`.
  ///
  /// - Parameters:
  ///   - x: float32, no reduced axis empty.
  ///   - axes: distinct, ascending, at least one.
  ///   - out: float32, as many elements as the kept axes have.
  func reduce(
    _ kind: ReductionKind, _ x: NDArray, axes: [Int], into out: NDArray
  ) throws(DeviceError)
}

/// The position of the largest element.
package protocol ArgmaxBackend {
  /// out[outer, inner] = the smallest a with x[outer, a, inner] the largest along the axis;
  /// the first NaN if there is one.
  ///
  /// - Parameter out: int32, `x` without the axis.
  func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError)
}

extension ReductionBackend {
  /// A reduction as nested extents, innermost last, with neighbours of one kind merged and axes of
  /// extent 1 dropped: `[(extent, isReduced)]`. What devices plan by.
  package static func runs(_ shape: Shape, reducing axes: [Int]) -> [(extent: Int, reduced: Bool)] {
    var runs: [(extent: Int, reduced: Bool)] = []
    for axis in 0..<shape.rank where shape[axis] != 1 {
      let reduced = axes.contains(axis)
      if let last = runs.last, last.reduced == reduced {
        runs[runs.count - 1].extent *= shape[axis]
      } else {
        runs.append((shape[axis], reduced))
      }
    }
    return runs
  }
}
