/// A pen stroke in the unit square, x to the right, y down.
struct DigitStroke: Sendable {
  /// The points through which the pen goes.
  let points: [SIMD2<Float>]
  /// Whether the pen turns smoothly at the points or goes straight from one to the next.
  let isSmooth: Bool

  static func line(_ points: (Float, Float)...) -> DigitStroke {
    DigitStroke(points: points.map { SIMD2($0.0, $0.1) }, isSmooth: false)
  }

  static func curve(_ points: (Float, Float)...) -> DigitStroke {
    DigitStroke(points: points.map { SIMD2($0.0, $0.1) }, isSmooth: true)
  }

  /// The stroke as a chain of short straight pieces; `move` places each of its points first.
  ///
  /// Smooth strokes are Catmull–Rom splines; one that ends where it began closes smoothly.
  func flattened(_ move: (SIMD2<Float>) -> SIMD2<Float>) -> [SIMD2<Float>] {
    var moved = points.map(move)
    guard isSmooth else { return moved }
    let last = moved.count - 1
    let isClosed = points[0] == points[last]
    if isClosed { moved[last] = moved[0] }
    let pieces = 6
    var chain = [moved[0]]
    for span in 0..<last {
      let (from, to) = (moved[span], moved[span + 1])
      // Beyond an open end the curve goes on straight.
      let before = span > 0 ? moved[span - 1] : isClosed ? moved[last - 1] : 2 * from - to
      let after = span + 2 <= last ? moved[span + 2] : isClosed ? moved[1] : 2 * to - from
      let slopeFrom = (to - before) * 0.5
      let slopeTo = (after - from) * 0.5
      let quadratic = 3 * (to - from) - 2 * slopeFrom - slopeTo
      let cubic = 2 * (from - to) + slopeFrom + slopeTo
      for piece in 1...pieces {
        let t = Float(piece) / Float(pieces)
        chain.append(((cubic * t + quadratic) * t + slopeFrom) * t + from)
      }
    }
    return chain
  }
}

extension DigitStroke {
  /// The ways to write each digit, as people in different countries do.
  static let styles: [[[DigitStroke]]] = [
    [
      [
        .curve(
          (0.5, 0.05), (0.78, 0.25), (0.8, 0.65), (0.5, 0.95), (0.2, 0.65), (0.22, 0.25),
          (0.5, 0.05))
      ],
      [
        .curve(
          (0.5, 0.1), (0.7, 0.3), (0.68, 0.7), (0.48, 0.9), (0.3, 0.68), (0.32, 0.28), (0.5, 0.1))
      ],
      [
        .curve(
          (0.62, 0.12), (0.35, 0.12), (0.17, 0.5), (0.35, 0.88), (0.68, 0.86), (0.83, 0.5),
          (0.66, 0.14), (0.44, 0.06))
      ],
    ],
    [
      [.line((0.5, 0.05), (0.5, 0.95))],
      [.line((0.3, 0.27), (0.52, 0.05), (0.52, 0.95))],
      [.line((0.32, 0.25), (0.52, 0.06), (0.52, 0.94)), .line((0.3, 0.94), (0.74, 0.94))],
      [.curve((0.4, 0.12), (0.54, 0.05), (0.52, 0.5), (0.5, 0.95))],
    ],
    [
      [
        .curve((0.2, 0.27), (0.37, 0.07), (0.64, 0.08), (0.74, 0.3), (0.52, 0.62), (0.2, 0.93)),
        .line((0.2, 0.93), (0.82, 0.93)),
      ],
      [
        .curve(
          (0.22, 0.24), (0.46, 0.05), (0.74, 0.25), (0.58, 0.58), (0.3, 0.9), (0.2, 0.82),
          (0.34, 0.76), (0.6, 0.92), (0.84, 0.86))
      ],
      [
        .curve((0.25, 0.15), (0.55, 0.05), (0.76, 0.22), (0.66, 0.5), (0.22, 0.9)),
        .curve((0.22, 0.9), (0.5, 0.86), (0.85, 0.95)),
      ],
    ],
    [
      [
        .curve((0.22, 0.16), (0.5, 0.05), (0.74, 0.22), (0.64, 0.42), (0.44, 0.48)),
        .curve((0.44, 0.48), (0.74, 0.56), (0.8, 0.75), (0.55, 0.95), (0.2, 0.85)),
      ],
      [
        .line((0.22, 0.08), (0.75, 0.08), (0.45, 0.42)),
        .curve((0.45, 0.42), (0.74, 0.5), (0.8, 0.72), (0.55, 0.95), (0.2, 0.86)),
      ],
      [
        .curve(
          (0.25, 0.1), (0.6, 0.08), (0.68, 0.27), (0.4, 0.46), (0.7, 0.56), (0.72, 0.82),
          (0.46, 0.94), (0.22, 0.9))
      ],
    ],
    [
      [.line((0.6, 0.05), (0.18, 0.63), (0.85, 0.63)), .line((0.65, 0.36), (0.65, 0.95))],
      [.line((0.23, 0.08), (0.2, 0.5), (0.78, 0.5)), .line((0.75, 0.06), (0.71, 0.95))],
      [.line((0.64, 0.95), (0.64, 0.05), (0.18, 0.65), (0.86, 0.65))],
      [
        .curve((0.28, 0.08), (0.2, 0.4), (0.36, 0.52), (0.72, 0.44)),
        .curve((0.74, 0.1), (0.7, 0.5), (0.64, 0.95)),
      ],
    ],
    [
      [
        .line((0.75, 0.07), (0.3, 0.07), (0.26, 0.45)),
        .curve((0.26, 0.45), (0.55, 0.38), (0.8, 0.64), (0.6, 0.92), (0.2, 0.88)),
      ],
      [
        .line((0.34, 0.1), (0.28, 0.46)),
        .curve((0.28, 0.46), (0.6, 0.42), (0.74, 0.68), (0.54, 0.93), (0.22, 0.84)),
        .line((0.34, 0.12), (0.8, 0.08)),
      ],
      [
        .curve(
          (0.78, 0.08), (0.5, 0.1), (0.32, 0.14), (0.28, 0.42), (0.5, 0.46), (0.7, 0.66),
          (0.54, 0.9), (0.2, 0.92))
      ],
    ],
    [
      [
        .curve(
          (0.68, 0.08), (0.4, 0.25), (0.22, 0.6), (0.35, 0.91), (0.66, 0.9), (0.75, 0.68),
          (0.54, 0.52), (0.26, 0.66))
      ],
      [
        .curve(
          (0.46, 0.05), (0.3, 0.4), (0.26, 0.75), (0.48, 0.95), (0.7, 0.78), (0.58, 0.58),
          (0.3, 0.72))
      ],
      [
        .line((0.62, 0.05), (0.27, 0.58)),
        .curve((0.27, 0.58), (0.24, 0.82), (0.5, 0.95), (0.76, 0.76), (0.56, 0.55), (0.27, 0.64)),
      ],
    ],
    [
      [.line((0.2, 0.08), (0.8, 0.08), (0.42, 0.95))],
      [.line((0.2, 0.08), (0.8, 0.08), (0.4, 0.95)), .line((0.34, 0.5), (0.74, 0.5))],
      [
        .line((0.2, 0.22), (0.2, 0.08), (0.8, 0.08)),
        .curve((0.8, 0.08), (0.56, 0.46), (0.45, 0.95)),
      ],
      [.curve((0.18, 0.16), (0.4, 0.1), (0.78, 0.12), (0.6, 0.5), (0.5, 0.95))],
    ],
    [
      [
        .curve(
          (0.72, 0.2), (0.5, 0.05), (0.28, 0.22), (0.5, 0.47), (0.76, 0.73), (0.5, 0.95),
          (0.24, 0.73), (0.5, 0.47), (0.72, 0.2))
      ],
      [
        .curve((0.5, 0.05), (0.7, 0.25), (0.5, 0.46), (0.3, 0.25), (0.5, 0.05)),
        .curve((0.5, 0.46), (0.78, 0.71), (0.5, 0.95), (0.22, 0.71), (0.5, 0.46)),
      ],
      [
        .curve(
          (0.68, 0.12), (0.4, 0.08), (0.32, 0.28), (0.66, 0.62), (0.6, 0.92), (0.32, 0.88),
          (0.34, 0.62), (0.64, 0.36), (0.72, 0.08))
      ],
    ],
    [
      [
        .curve((0.72, 0.28), (0.5, 0.06), (0.25, 0.28), (0.45, 0.52), (0.72, 0.28)),
        .curve((0.73, 0.22), (0.72, 0.6), (0.6, 0.95)),
      ],
      [
        .curve((0.74, 0.26), (0.48, 0.06), (0.26, 0.3), (0.48, 0.5), (0.74, 0.26)),
        .curve((0.74, 0.26), (0.74, 0.68), (0.54, 0.94), (0.26, 0.86)),
      ],
      [
        .curve((0.7, 0.14), (0.4, 0.1), (0.26, 0.36), (0.5, 0.48), (0.7, 0.22)),
        .line((0.7, 0.14), (0.68, 0.95)),
      ],
    ],
  ]
}
