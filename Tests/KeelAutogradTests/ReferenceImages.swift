import KeelBackend

extension ReferenceBackend {
  func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, _ epilogue: Epilogue, into c: NDArray
  ) throws(DeviceError) {
    note("matmul", c)
    let g = geometry
    let (left, right) = (read(a), read(b))
    let bias = epilogue.bias.map(read)
    precondition(c.count == g.batch * g.rows * g.columns)
    var result: [Double] = []
    for i in 0..<g.batch {
      for r in 0..<g.rows {
        for n in 0..<g.columns {
          var sum = bias?[n] ?? 0
          for k in 0..<g.inner {
            let p = g.transposeLeft ? k * g.rows + r : r * g.inner + k
            let q = g.transposeRight ? n * g.inner + k : k * g.columns + n
            sum += left[i * g.leftBatchStride + p] * right[i * g.rightBatchStride + q]
          }
          result.append(activate(epilogue.activation, sum))
        }
      }
    }
    write(result, to: c)
  }

  /// Calls `body` with the positions in x, filter and y of every multiply-add.
  private func forEachTap(_ g: Convolution2DGeometry, _ body: (Int, Int, Int) -> Void) {
    let (input, filter, output) = (
      g.inputShape.strides, g.filterShape.strides, g.outputShape.strides
    )
    let perGroup = (in: g.inChannels / g.groups, out: g.outChannels / g.groups)
    forEachIndex(g.outputShape.extents) { y in
      forEachIndex([g.kernelHeight, g.kernelWidth, perGroup.in]) { tap in
        let row = y[1] * g.strideHeight + tap[0] * g.dilationHeight - g.padTop
        let column = y[2] * g.strideWidth + tap[1] * g.dilationWidth - g.padLeft
        guard (0..<g.height).contains(row), (0..<g.width).contains(column) else { return }
        let channel = y[3] / perGroup.out * perGroup.in + tap[2]
        body(
          position([y[0], row, column, channel], input), position(tap + [y[3]], filter),
          position(y, output))
      }
    }
  }

  func convolution2D(
    _ x: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, _ epilogue: Epilogue,
    into y: NDArray
  ) throws(DeviceError) {
    note("convolution2D", y)
    let (image, weights, bias) = (read(x), read(filter), epilogue.bias.map(read))
    var result = (0..<y.count).map { bias?[$0 % geometry.outChannels] ?? 0 }
    forEachTap(geometry) { result[$2] += image[$0] * weights[$1] }
    write(result.map { activate(epilogue.activation, $0) }, to: y)
  }

  func convolution2DInputGradient(
    upstream dy: NDArray, filter: NDArray, _ geometry: Convolution2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    note("convolution2DInputGradient", dx)
    let (upstream, weights) = (read(dy), read(filter))
    var result = [Double](repeating: 0, count: dx.count)
    forEachTap(geometry) { result[$0] += upstream[$2] * weights[$1] }
    write(result, to: dx)
  }

  func convolution2DFilterGradient(
    _ x: NDArray, upstream dy: NDArray, _ geometry: Convolution2DGeometry, into dfilter: NDArray
  ) throws(DeviceError) {
    note("convolution2DFilterGradient", dfilter)
    let (upstream, image) = (read(dy), read(x))
    var result = [Double](repeating: 0, count: dfilter.count)
    forEachTap(geometry) { result[$1] += upstream[$2] * image[$0] }
    write(result, to: dfilter)
  }

  /// Calls `body` for each output of a pooling with its position and its (tap, pixel) pairs.
  private func forEachWindow(
    _ g: Pooling2DGeometry, _ body: (Int, [(tap: Int, pixel: Int)]) -> Void
  ) {
    let (input, output) = (g.inputShape.strides, g.outputShape.strides)
    forEachIndex(g.outputShape.extents) { y in
      var taps: [(tap: Int, pixel: Int)] = []
      for u in 0..<g.windowHeight {
        for v in 0..<g.windowWidth {
          let row = y[1] * g.strideHeight + u - g.padTop
          let column = y[2] * g.strideWidth + v - g.padLeft
          guard (0..<g.height).contains(row), (0..<g.width).contains(column) else { continue }
          taps.append((u * g.windowWidth + v, position([y[0], row, column, y[3]], input)))
        }
      }
      body(position(y, output), taps)
    }
  }

  func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError) {
    note("maxPooling2D", y, indices)
    let values = read(x)
    var (result, winners) = ([Double](), [Double]())
    forEachWindow(geometry) { _, taps in
      var best = taps[0]
      for tap in taps.dropFirst() where !values[best.pixel].isNaN {
        if !(values[tap.pixel] <= values[best.pixel]) { best = tap }
      }
      result.append(values[best.pixel])
      winners.append(Double(best.tap))
    }
    write(result, to: y)
    write(winners, to: indices)
  }

  func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    note("maxPooling2DGradient", dx)
    let (upstream, winners) = (read(dy), read(indices))
    var result = [Double](repeating: 0, count: dx.count)
    forEachWindow(geometry) { y, taps in
      for tap in taps where Double(tap.tap) == winners[y] { result[tap.pixel] += upstream[y] }
    }
    write(result, to: dx)
  }

  func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError) {
    note("averagePooling2D", y)
    let values = read(x)
    var result: [Double] = []
    forEachWindow(geometry) { _, taps in
      result.append(taps.reduce(0) { $0 + values[$1.pixel] } / Double(taps.count))
    }
    write(result, to: y)
  }

  func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    note("averagePooling2DGradient", dx)
    let upstream = read(dy)
    var result = [Double](repeating: 0, count: dx.count)
    forEachWindow(geometry) { y, taps in
      for tap in taps { result[tap.pixel] += upstream[y] / Double(taps.count) }
    }
    write(result, to: dx)
  }
}
