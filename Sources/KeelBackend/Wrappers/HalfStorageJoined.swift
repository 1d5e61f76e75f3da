// Operations that a device may join go through as one where nothing is in 16 bits; other wrappers
// see their parts.
extension HalfStorageBackend {
  package func beginStep(
    scanning g: NDArray, _ table: TelescopeTable, wantsHistogram: Bool, _ start: StepStart,
    limit: ClipRule?, into reading: TelescopeReading, decision: NDArray
  ) throws(DeviceError) {
    // Gradients are float32 always.
    try inner.beginStep(
      scanning: g, table, wantsHistogram: wantsHistogram, start, limit: limit, into: reading,
      decision: decision)
  }

  package func matmul(
    _ a: NDArray, _ b: NDArray, _ geometry: MatmulGeometry, into c: NDArray,
    columnSums: NDArray
  ) throws(DeviceError) {
    if ![a, b, c, columnSums].contains(where: \.dtype.isHalf) {
      return try inner.matmul(a, b, geometry, into: c, columnSums: columnSums)
    }
    try matmul(a, b, geometry, .none, into: c)
    try reduce(
      .sum, b.reshaped([geometry.inner, geometry.columns]), axes: [0], into: columnSums)
  }

  package func convolution2DParameterGradients(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray
  ) throws(DeviceError) {
    if ![x, y, dy, dfilter, db].contains(where: \.dtype.isHalf) {
      return try inner.convolution2DParameterGradients(
        x, output: y, upstream: dy, activation, geometry, into: dfilter, bias: db)
    }
    try pullEpilogue(activation, output: y, upstream: dy, bias: db)
    try convolution2DFilterGradient(x, upstream: dy, geometry, into: dfilter)
  }

  package func convolution2DParameterGradients(
    _ x: NDArray, maxima: WindowMaxima, _ activation: Activation,
    _ geometry: Convolution2DGeometry, into dfilter: NDArray, bias db: NDArray,
    inner dz: NDArray
  ) throws(DeviceError) {
    if ![x, maxima.y, maxima.upstream, dfilter, db, dz].contains(where: \.dtype.isHalf) {
      return try inner.convolution2DParameterGradients(
        x, maxima: maxima, activation, geometry, into: dfilter, bias: db, inner: dz)
    }
    try pullEpilogue(activation, output: maxima.y, upstream: maxima.upstream, bias: db)
    try maxPooling2DGradient(
      upstream: maxima.upstream, indices: maxima.indices, maxima.geometry, into: dz)
    try convolution2DFilterGradient(x, upstream: dz, geometry, into: dfilter)
  }
}
