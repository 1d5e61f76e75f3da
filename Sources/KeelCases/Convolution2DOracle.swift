internal import KeelAutograd
internal import KeelBackend

/// Convolution and its gradients in Double: one visit of every (output, tap) pair.
enum Convolution2DOracle {
  /// Calls `body` with the places in input, filter and output of every product in the sum.
  @inline(__always)
  private static func visit(
    _ g: Convolution2DGeometry, _ body: (_ input: Int, _ filter: Int, _ output: Int) -> Void
  ) {
    let (groupIn, groupOut) = (g.inChannels / g.groups, g.outChannels / g.groups)
    for n in 0..<g.batch {
      for p in 0..<g.outHeight {
        for q in 0..<g.outWidth {
          for u in 0..<g.kernelHeight {
            let row = p * g.strideHeight + u * g.dilationHeight - g.padTop
            guard row >= 0, row < g.height else { continue }
            for v in 0..<g.kernelWidth {
              let column = q * g.strideWidth + v * g.dilationWidth - g.padLeft
              guard column >= 0, column < g.width else { continue }
              let pixel = ((n * g.height + row) * g.width + column) * g.inChannels
              let tap = (u * g.kernelWidth + v) * groupIn
              let out = ((n * g.outHeight + p) * g.outWidth + q) * g.outChannels
              for c in 0..<g.outChannels {
                let first = c / groupOut * groupIn
                for i in 0..<groupIn {
                  body(pixel + first + i, (tap + i) * g.outChannels + c, out + c)
                }
              }
            }
          }
        }
      }
    }
  }

  static func forward(_ x: [Double], _ filter: [Double], _ g: Convolution2DGeometry) -> [Double] {
    var y = [Double](repeating: 0, count: g.outputShape.count)
    visit(g) { input, tap, output in y[output] += x[input] * filter[tap] }
    return y
  }

  static func inputGradient(
    _ dy: [Double], _ filter: [Double], _ g: Convolution2DGeometry
  ) -> [Double] {
    var dx = [Double](repeating: 0, count: g.inputShape.count)
    visit(g) { input, tap, output in dx[input] += dy[output] * filter[tap] }
    return dx
  }

  static func filterGradient(
    _ x: [Double], _ dy: [Double], _ g: Convolution2DGeometry
  ) -> [Double] {
    var dfilter = [Double](repeating: 0, count: g.filterShape.count)
    visit(g) { input, tap, output in dfilter[tap] += x[input] * dy[output] }
    return dfilter
  }
}

/// Paddings in numbers, as users expect them from Keras: what is odd goes below and to the right.
enum PaddingOracle {
  static func resolve(
    _ padding: Padding, height: Int, width: Int, kernel: (Int, Int), stride: (Int, Int),
    dilation: (Int, Int) = (1, 1)
  ) -> (top: Int, left: Int, bottom: Int, right: Int) {
    switch padding {
    case .valid: return (0, 0, 0, 0)
    case .explicit(let top, let left, let bottom, let right): return (top, left, bottom, right)
    case .same:
      func total(_ extent: Int, _ kernel: Int, _ stride: Int, _ dilation: Int) -> Int {
        let out = (extent + stride - 1) / stride
        return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - extent)
      }
      let vertical = total(height, kernel.0, stride.0, dilation.0)
      let horizontal = total(width, kernel.1, stride.1, dilation.1)
      return (
        vertical / 2, horizontal / 2, vertical - vertical / 2, horizontal - horizontal / 2
      )
    }
  }
}
