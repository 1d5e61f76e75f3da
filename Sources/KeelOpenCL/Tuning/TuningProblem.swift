internal import KeelBackend

/// A subject with numbers in it, and its result in double precision.
package struct TuningProblem: Sendable {
  package let subject: TuningSubject
  package var left: [Float]
  package var right: [Float]
  /// Of the forms that add one; empty otherwise.
  package var bias: [Float]

  static let activation = Activation.leakyRelu(slope: 0.1)

  package init(_ subject: TuningSubject, seed: UInt64) {
    self.subject = subject
    let (leftShape, rightShape, _) = subject.shapes
    func numbers(_ count: Int, _ index: UInt64) -> [Float] {
      var sequence = RandomSequence(RandomKey(seed: seed &* 4 &+ index, .user))
      return (0..<count).map { _ in sequence.nextUniform() * 2 - 1 }
    }
    left = numbers(leftShape.count, 0)
    right = numbers(rightShape.count, 1)
    bias = numbers(subject.biasCount, 2)
  }

  /// The same with |numbers|, so that results are sums of |terms|.
  var magnitudes: TuningProblem {
    var problem = self
    problem.left = left.map(abs)
    problem.right = right.map(abs)
    problem.bias = bias.map(abs)
    return problem
  }

  /// The result, element by element, in double precision and in no kernel's order.
  package func reference() -> [Double] {
    switch subject {
    case .matmul(let geometry): matmul(geometry)
    case .convolution2D(let geometry, let direction): convolution(geometry, direction)
    }
  }

  private func matmul(_ g: MatmulGeometry) -> [Double] {
    var result: [Double] = []
    for matrix in 0..<g.batch {
      let a = matrix * g.leftBatchStride
      let b = matrix * g.rightBatchStride
      for row in 0..<g.rows {
        for column in 0..<g.columns {
          var sum = Double(bias[column])
          for k in 0..<g.inner {
            let x = left[a + (g.transposeLeft ? k * g.rows + row : row * g.inner + k)]
            let y = right[b + (g.transposeRight ? column * g.inner + k : k * g.columns + column)]
            sum += Double(x) * Double(y)
          }
          result.append(activated(sum))
        }
      }
    }
    return result
  }

  private func convolution(
    _ g: Convolution2DGeometry, _ direction: Convolution2DDirection
  ) -> [Double] {
    var result = [Double](repeating: 0, count: subject.shapes.result.count)
    if direction == .forward {
      for index in result.indices { result[index] = Double(bias[index % g.outChannels]) }
    }
    g.forEachTerm { input, filter, output in
      switch direction {
      case .forward: result[output] += Double(left[input]) * Double(right[filter])
      case .inputGradient: result[input] += Double(left[output]) * Double(right[filter])
      case .filterGradient: result[filter] += Double(left[input]) * Double(right[output])
      }
    }
    return direction == .forward ? result.map(activated) : result
  }

  private func activated(_ value: Double) -> Double {
    value < 0 ? value * Double(Float(0.1)) : value
  }
}

extension Convolution2DGeometry {
  /// Every product of the sum: where its pixel, its weight and its result lie.
  fileprivate func forEachTerm(_ body: (_ input: Int, _ filter: Int, _ output: Int) -> Void) {
    for image in 0..<batch {
      for row in 0..<outHeight {
        for column in 0..<outWidth {
          for tapRow in 0..<kernelHeight {
            for tapColumn in 0..<kernelWidth {
              let y = row * strideHeight + tapRow * dilationHeight - padTop
              let x = column * strideWidth + tapColumn * dilationWidth - padLeft
              guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
              let pixel = ((image * height + y) * width + x) * inChannels
              let result = ((image * outHeight + row) * outWidth + column) * outChannels
              let tap = (tapRow * kernelWidth + tapColumn) * groupInChannels
              for channel in 0..<outChannels {
                let first = channel / groupOutChannels * groupInChannels
                for source in 0..<groupInChannels {
                  body(
                    pixel + first + source, (tap + source) * outChannels + channel, result + channel
                  )
                }
              }
            }
          }
        }
      }
    }
  }
}

extension TuningSubject {
  /// Of both operands and the result.
  var shapes: (left: Shape, right: Shape, result: Shape) {
    switch self {
    case .matmul(let g):
      let lefts = g.leftBatchStride == 0 ? 1 : g.batch
      let rights = g.rightBatchStride == 0 ? 1 : g.batch
      return (
        [lefts, g.rows, g.inner], [rights, g.inner, g.columns], [g.batch, g.rows, g.columns]
      )
    case .convolution2D(let g, .forward): return (g.inputShape, g.filterShape, g.outputShape)
    case .convolution2D(let g, .inputGradient): return (g.outputShape, g.filterShape, g.inputShape)
    case .convolution2D(let g, .filterGradient):
      return (g.inputShape, g.outputShape, g.filterShape)
    }
  }

  /// Columns or channels that have a bias; 0 for gradients.
  var biasCount: Int {
    switch self {
    case .matmul(let geometry): geometry.columns
    case .convolution2D(let geometry, .forward): geometry.outChannels
    case .convolution2D: 0
    }
  }

  /// The most terms of one sum.
  var terms: Int {
    switch self {
    case .matmul(let g): g.inner
    case .convolution2D(let g, .forward): g.taps * g.groupInChannels
    case .convolution2D(let g, .inputGradient): g.taps * g.groupOutChannels
    case .convolution2D(let g, .filterGradient): g.batch * g.outHeight * g.outWidth
    }
  }

  /// Small shapes of the same form with odd extents around the edges of tiles, for which the plan
  /// is made too.
  func oddShapes(
    _ count: Int, for plan: TunedPlan?, seed: UInt64, isCPUClass: Bool, limits: OpenCLLimits
  ) -> [TuningSubject] {
    var sequence = RandomSequence(RandomKey(seed: seed, .user))
    var found: [TuningSubject] = []
    for _ in 0..<200 where found.count < count {
      let subject = oddShape(&sequence)
      guard plan?.computes(subject, isCPUClass: isCPUClass, limits: limits) ?? true else {
        continue
      }
      found.append(subject)
    }
    return found
  }

  private func oddShape(_ sequence: inout RandomSequence) -> TuningSubject {
    func odd(_ limit: Int) -> Int { Int(sequence.nextUniform() * Float(limit)) / 2 * 2 + 1 }
    // Multiples of four now and then: some plans take only those, or read them otherwise.
    let step = sequence.nextUniform() < 0.5 ? 4 : 1
    switch self {
    case .matmul(let g):
      return .matmul(
        MatmulGeometry(
          batch: g.batch == 1 ? 1 : 3, rows: step * odd(80 / step),
          inner: step * odd(60 / step), columns: step * odd(90 / step),
          transposeLeft: g.transposeLeft, transposeRight: g.transposeRight))
    case .convolution2D(let g, let direction):
      let groups = g.groups == 1 ? 1 : odd(6)
      let reach = (
        (g.kernelHeight - 1) * g.dilationHeight + 1, (g.kernelWidth - 1) * g.dilationWidth + 1
      )
      let isDepthwise = g.groups > 1 && g.inChannels == g.groups
      return .convolution2D(
        Convolution2DGeometry(
          batch: odd(4), height: reach.0 + odd(9), width: reach.1 + odd(9),
          inChannels: groups * (isDepthwise ? 1 : step * odd(9)),
          outChannels: groups * (isDepthwise ? 1 : step * odd(9)),
          kernel: (g.kernelHeight, g.kernelWidth), stride: (g.strideHeight, g.strideWidth),
          dilation: (g.dilationHeight, g.dilationWidth),
          padding: (g.padTop, g.padLeft, g.padBottom, g.padRight), groups: groups), direction)
    }
  }
}
