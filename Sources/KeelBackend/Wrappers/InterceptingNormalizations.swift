// Normalisation, probabilities, randomness, optimisation: forwarded like the rest.
extension InterceptingBackend {
  package func batchNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float, adding addend: NDArray?,
    _ activation: Activation, momentum: Float, runningMean: NDArray, runningVariance: NDArray,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray, factors: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, gamma, beta, addend].compactMap { $0 },
      outputs: [y, mean, inverseDeviation, runningMean, runningVariance, factors]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.batchNormalization(
        inputs[0], gamma: inputs[1], beta: inputs[2], epsilon: epsilon,
        adding: inputs.dropFirst(3).first, activation, momentum: momentum,
        runningMean: outputs[3], runningVariance: outputs[4], into: outputs[0], mean: outputs[1],
        inverseDeviation: outputs[2], factors: outputs[5])
    }
  }

  package func batchNormalizationInference(
    _ x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray,
    epsilon: Float, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, gamma, beta, mean, variance],
      outputs: [y]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.batchNormalizationInference(
        inputs[0], gamma: inputs[1], beta: inputs[2], mean: inputs[3], variance: inputs[4],
        epsilon: epsilon,
        activation, into: outputs[0])
    }
  }

  package func batchNormalizationOutput(
    _ x: NDArray, mean: NDArray, factors: NDArray, _ activation: Activation, into y: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, mean, factors], outputs: [y]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.batchNormalizationOutput(
        inputs[0], mean: inputs[1], factors: inputs[2], activation, into: outputs[0])
    }
  }

  package func batchNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, mean: NDArray, inverseDeviation: NDArray,
    factors: NDArray, _ activation: Activation,
    into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    try intercept(
      .batchNormalization, method: #function, inputs: [x, dy, mean, inverseDeviation, factors],
      outputs: [dx, dgamma, dbeta].compactMap { $0 }
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.batchNormalizationGradient(
        inputs[0], upstream: inputs[1], mean: inputs[2], inverseDeviation: inputs[3],
        factors: inputs[4], activation, into: dx == nil ? nil : outputs[0],
        dgamma: outputs[outputs.count - 2], dbeta: outputs[outputs.count - 1])
    }
  }

  package func layerNormalization(
    _ x: NDArray, gamma: NDArray, beta: NDArray, epsilon: Float,
    into y: NDArray, mean: NDArray, inverseDeviation: NDArray
  ) throws(DeviceError) {
    try intercept(
      .layerNormalization, method: #function, inputs: [x, gamma, beta],
      outputs: [y, mean, inverseDeviation]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.layerNormalization(
        inputs[0], gamma: inputs[1], beta: inputs[2], epsilon: epsilon, into: outputs[0],
        mean: outputs[1],
        inverseDeviation: outputs[2])
    }
  }

  package func layerNormalizationGradient(
    _ x: NDArray, upstream dy: NDArray, gamma: NDArray, mean: NDArray,
    inverseDeviation: NDArray, into dx: NDArray?, dgamma: NDArray, dbeta: NDArray
  ) throws(DeviceError) {
    try intercept(
      .layerNormalization, method: #function, inputs: [x, dy, gamma, mean, inverseDeviation],
      outputs: [dx, dgamma, dbeta].compactMap { $0 }
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.layerNormalizationGradient(
        inputs[0], upstream: inputs[1], gamma: inputs[2], mean: inputs[3],
        inverseDeviation: inputs[4],
        into: dx == nil ? nil : outputs[0], dgamma: outputs[outputs.count - 2],
        dbeta: outputs[outputs.count - 1])
    }
  }

  package func softmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [x], outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.softmax(inputs[0], into: outputs[0])
    }
  }

  package func softmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [y, dy], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.softmaxGradient(output: inputs[0], upstream: inputs[1], into: outputs[0])
    }
  }

  package func logSoftmax(_ x: NDArray, into y: NDArray) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [x], outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.logSoftmax(inputs[0], into: outputs[0])
    }
  }

  package func logSoftmaxGradient(
    output y: NDArray, upstream dy: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(.softmax, method: #function, inputs: [y, dy], outputs: [dx]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.logSoftmaxGradient(output: inputs[0], upstream: inputs[1], into: outputs[0])
    }
  }

  package func softmaxCrossEntropy(
    _ x: NDArray, labels: NDArray, smoothing: Float, into losses: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    try intercept(
      .softmaxCrossEntropy, method: #function, inputs: [x, labels],
      outputs: [losses, logSums, right].compactMap { $0 }
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.softmaxCrossEntropy(
        inputs[0], labels: inputs[1], smoothing: smoothing, into: outputs[0],
        logSums: outputs[1], right: right == nil ? nil : outputs[2])
    }
  }

  package func softmaxCrossEntropyMean(
    _ x: NDArray, labels: NDArray, smoothing: Float, into mean: NDArray, logSums: NDArray,
    right: NDArray?
  ) throws(DeviceError) {
    try intercept(
      .softmaxCrossEntropy, method: #function, inputs: [x, labels],
      outputs: [mean, logSums, right].compactMap { $0 }
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.softmaxCrossEntropyMean(
        inputs[0], labels: inputs[1], smoothing: smoothing, into: outputs[0],
        logSums: outputs[1], right: right == nil ? nil : outputs[2])
    }
  }

  package func softmaxCrossEntropyGradient(
    _ x: NDArray, labels: NDArray, smoothing: Float, logSums: NDArray,
    upstream dlosses: NDArray, into dx: NDArray
  ) throws(DeviceError) {
    try intercept(
      .softmaxCrossEntropy, method: #function, inputs: [x, labels, logSums, dlosses],
      outputs: [dx]
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.softmaxCrossEntropyGradient(
        inputs[0], labels: inputs[1], smoothing: smoothing, logSums: inputs[2], upstream: inputs[3],
        into: outputs[0])
    }
  }

  package func randomBits(_ key: RandomKey, into out: NDArray) throws(DeviceError) {
    try intercept(.random, method: #function, inputs: [], outputs: [out]) {
      (device, _, outputs) throws(DeviceError) in try device.randomBits(key, into: outputs[0])
    }
  }

  package func randomUniform(
    _ key: RandomKey, low: Float, high: Float, into out: NDArray
  ) throws(DeviceError) {
    try intercept(.random, method: #function, inputs: [], outputs: [out]) {
      (device, _, outputs) throws(DeviceError) in
      try device.randomUniform(key, low: low, high: high, into: outputs[0])
    }
  }

  package func dropout(
    _ x: NDArray, rate: Float, _ key: RandomKey, into y: NDArray
  ) throws(DeviceError) {
    try intercept(.dropout, method: #function, inputs: [x], outputs: [y]) {
      (device, inputs, outputs) throws(DeviceError) in
      try device.dropout(inputs[0], rate: rate, key, into: outputs[0])
    }
  }

  package func optimizerStep(
    _ update: OptimizerUpdate, parameters: NDArray, gradients: NDArray, moments: [NDArray],
    scales: NDArray, decision: NDArray
  ) throws(DeviceError) {
    try intercept(
      .optimizerStep, method: #function, inputs: [gradients, scales, decision],
      outputs: [parameters] + moments
    ) { (device, inputs, outputs) throws(DeviceError) in
      try device.optimizerStep(
        update, parameters: outputs[0], gradients: inputs[0], moments: Array(outputs[1...]),
        scales: inputs[1], decision: inputs[2])
    }
  }

  package func multiplyAddPeak(rounds: Int, into out: NDArray) throws(DeviceError) {
    try intercept(.multiplyAddPeak, method: #function, inputs: [], outputs: [out]) {
      (device, _, outputs) throws(DeviceError) in
      try device.multiplyAddPeak(rounds: rounds, into: outputs[0])
    }
  }
}
