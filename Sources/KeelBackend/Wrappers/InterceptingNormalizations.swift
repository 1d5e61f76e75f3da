// Normalisation, probabilities, randomness, optimisation: forwarded like the rest.
extension InterceptingBackend {
  package func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, _ activation: Activation,
    momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, gamma, beta],
      outputs: [y, mean, inverseDeviation, runningMean, runningVariance]
    ) { () throws(DeviceError) in
      try inner.batchNormalization(
        x, gamma: gamma, beta: beta, epsilon: epsilon, activation, momentum: momentum,
        runningMean: runningMean, runningVariance: runningVariance, into: y, mean: mean,
        inverseDeviation: inverseDeviation)
    }
  }

  package func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, gamma, beta, mean, variance],
      outputs: [y]
    ) { () throws(DeviceError) in
      try inner.batchNormalizationInference(
        x, gamma: gamma, beta: beta, mean: mean, variance: variance, epsilon: epsilon,
        activation, into: y)
    }
  }

  package func batchNormalizationGradient(
    _ x: NDArray, output y: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, y, dy, gamma, mean, inverseDeviation],
      outputs: [dx, dgamma, dbeta].compactMap { $0 }
    ) { () throws(DeviceError) in
      try inner.batchNormalizationGradient(
        x, output: y, upstream: dy, gamma: gamma, mean: mean,
        inverseDeviation: inverseDeviation, activation, into: dx, dgamma: dgamma, dbeta: dbeta)
    }
  }

  package func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    try intercept(
      .layerNormalization, method: #function, inputs: [x, gamma, beta],
      outputs: [y, mean, inverseDeviation]
    ) { () throws(DeviceError) in
      try inner.layerNormalization(
        x, gamma: gamma, beta: beta, epsilon: epsilon, into: y, mean: mean,
        inverseDeviation: inverseDeviation)
    }
  }

  package func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    try intercept(
      .layerNormalization, method: #function, inputs: [x, dy, gamma, mean, inverseDeviation],
      outputs: [dx, dgamma, dbeta].compactMap { $0 }
    ) { () throws(DeviceError) in
      try inner.layerNormalizationGradient(
        x, upstream: dy, gamma: gamma, mean: mean, inverseDeviation: inverseDeviation,
        into: dx, dgamma: dgamma, dbeta: dbeta)
    }
  }

  package func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [x], outputs: [y]) {
      () throws(DeviceError) in try inner.softmax(x, into: y)
    }
  }

  package func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [y, dy], outputs: [dx]) {
      () throws(DeviceError) in try inner.softmaxGradient(output: y, upstream: dy, into: dx)
    }
  }

  package func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [x], outputs: [y]) {
      () throws(DeviceError) in try inner.logSoftmax(x, into: y)
    }
  }

  package func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [y, dy], outputs: [dx]) {
      () throws(DeviceError) in try inner.logSoftmaxGradient(output: y, upstream: dy, into: dx)
    }
  }

  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray
  ) throws(DeviceError) {
    try intercept(
      .softmaxCrossEntropy, method: #function, inputs: [x, labels], outputs: [losses, logSums]
    ) { () throws(DeviceError) in
      try inner.softmaxCrossEntropy(
        x, labels: labels, smoothing: smoothing, into: losses, logSums: logSums)
    }
  }

  package func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(
      .softmaxCrossEntropy, method: #function, inputs: [x, labels, logSums, dlosses],
      outputs: [dx]
    ) { () throws(DeviceError) in
      try inner.softmaxCrossEntropyGradient(
        x, labels: labels, smoothing: smoothing, logSums: logSums, upstream: dlosses, into: dx)
    }
  }

  package func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError) {
    try intercept(.random, method: #function, inputs: [], outputs: [out]) {
      () throws(DeviceError) in try inner.randomBits(key, into: out)
    }
  }

  package func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError) {
    try intercept(.random, method: #function, inputs: [], outputs: [out]) {
      () throws(DeviceError) in try inner.randomUniform(key, low: low, high: high, into: out)
    }
  }

  package func dropout(
    _ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray
  ) throws(DeviceError) {
    try intercept(.dropout, method: #function, inputs: [x], outputs: [y]) {
      () throws(DeviceError) in try inner.dropout(x, rate: rate, key, into: y)
    }
  }

  package func globalNormClip(
    _ g: NDArray, limit: Float?, into summary: NDArray
  ) throws(DeviceError) {
    try intercept(.globalNormClip, method: #function, inputs: [g], outputs: [summary]) {
      () throws(DeviceError) in try inner.globalNormClip(g, limit: limit, into: summary)
    }
  }

  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, summary: NDArray?
  ) throws(DeviceError) {
    let inputs = [gradients, scales, summary].compactMap { $0 }
    try intercept(
      .optimizerStep, method: #function, inputs: inputs, outputs: [parameters] + moments
    ) { () throws(DeviceError) in
      try inner.optimizerStep(
        update, parameters: parameters, gradients: gradients, moments: moments, scales: scales,
        summary: summary)
    }
  }

  package func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError) {
    try intercept(.multiplyAddPeak, method: #function, inputs: [], outputs: [out]) {
      () throws(DeviceError) in try inner.multiplyAddPeak(rounds: rounds, into: out)
    }
  }
}
