import KeelAutograd
public import KeelBackend

extension Model {
  /// Gives every weight (a parameter of two axes or more) the first values that another initialiser
  /// makes: the same as if its layer had been declared with that one. Biases, parameters of
  /// normalisations and frozen parameters keep theirs, bit for bit.
  ///
  /// - Parameter prefix: a path such as `conv1`, or nil for the whole model.
  /// - Throws: ``TensorError/shape(_:)`` for a number that is not usable or a path that is not
  ///   there; nothing is changed then.
  public func initialize(
    _ initializer: Initializer, at prefix: String? = nil
  ) throws(TensorError) {
    let chosen = try (prefix == nil ? parameters : matching(prefix ?? "")).filter(\.isFreeWeight)
    for parameter in chosen {
      if let complaint = initializer.complaint(for: parameter.shape) {
        throw .shape(
          ShapeError(parameter.name, requires: complaint, gotText: "\(initializer)"))
      }
    }
    for parameter in chosen { try setFirstValues(initializer, scale: 1, of: parameter) }
    if prefix == nil { (self.initializer, initializationMethod) = (initializer, nil) }
  }

  /// Multiplies the steps of the parameters of a layer, or of one parameter: its learning rate (and
  /// decoupled decay) is that of the optimizer times `scale`.
  ///
  /// - Throws: ``TensorError/shape(_:)`` when there is none of that path, or the scale is not
  ///   finite and above 0 (see ``freeze(_:)`` for parameters that are to stay as they are).
  public func setLearningRateScale(_ scale: Float, at prefix: String) throws(TensorError) {
    guard scale.isFinite, scale > 0 else {
      throw .shape(
        ShapeError(
          prefix, requires: "a finite learning-rate scale above 0 (freeze stops training)",
          gotText: "\(scale)"))
    }
    for parameter in try matching(prefix) { parameter.learningRateScale = scale }
    try arena.writeScales(parameters)
  }

  /// Learning-rate scales of all parameters, in order; one upload.
  package func setLearningRateScales(_ scales: [Float]) throws(TensorError) {
    for (parameter, scale) in zip(parameters, scales) { parameter.learningRateScale = scale }
    try arena.writeScales(parameters)
  }

  /// Uploads the values that an initialiser makes for a parameter, times `scale`.
  package func setFirstValues(
    _ initializer: Initializer, scale: Double, of parameter: Parameter
  ) throws(TensorError) {
    let key = RandomKey(seed: seed, .initialization, index: parameter.index)
    var values = initializer.values(
      shape: parameter.shape, fanIn: parameter.fanIn, fanOut: parameter.fanOut, key: key)
    if scale != 1 { values = values.map { Float(Double($0) * scale) } }
    parameter.initializer = initializer
    try setWeights(values, named: parameter.name)
    parameter.place?.firstDeviation = standardDeviation(values)
  }

  /// Takes what the parameters hold as their first values, for the summary.
  package func noteFirstDeviations() throws(TensorError) {
    for parameter in parameters {
      let values = try parameter.tensor?.scalars() ?? []
      parameter.place?.firstDeviation = standardDeviation(values)
    }
  }
}

extension Parameter {
  /// Whether it has two axes or more: a matrix or filters, neither a bias nor of a normalisation.
  package var isWeight: Bool { shape.rank >= 2 }

  /// Whether initialisation may change it: a weight that is not frozen.
  package var isFreeWeight: Bool { isWeight && isTrainable }
}
