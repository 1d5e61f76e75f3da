package import KeelBackend

/// What the initialisation of a model left besides values, as runs record it: a resumed training
/// then takes the same steps.
public struct InitializationRecord: Hashable, Sendable, Codable {
  /// The method that gave the weights first values fit for the data or the optimizer, such as
  /// `LSUV`, if one did.
  public var method: String?
  /// What gave all weights their first values, if one initialiser did.
  public var initializer: Initializer?
  /// The initialisers of parameters that are not those of their layers, by path.
  public var initializers: [String: Initializer]
  /// The learning-rate scales that are not 1, by path.
  public var learningRateScales: [String: Float]
}

extension Model {
  /// What initialisation left besides values; nil if it is all as the layers declared.
  public var initializationRecord: InitializationRecord? {
    var record = InitializationRecord(
      method: initializationMethod, initializer: initializer, initializers: [:],
      learningRateScales: [:])
    for parameter in parameters {
      if parameter.initializer != parameter.declaredInitializer {
        record.initializers[parameter.name] = parameter.initializer
      }
      if parameter.learningRateScale != 1 {
        record.learningRateScales[parameter.name] = parameter.learningRateScale
      }
    }
    let isPlain =
      record.method == nil && record.initializer == nil && record.initializers.isEmpty
      && record.learningRateScales.isEmpty
    return isPlain ? nil : record
  }

  /// Takes over a record; values stay. What it says of parameters that are not there is ignored.
  package func adopt(_ record: InitializationRecord) throws(TensorError) {
    initializationMethod = record.method
    initializer = record.initializer
    for parameter in parameters {
      if let own = record.initializers[parameter.name] { parameter.initializer = own }
      if let scale = record.learningRateScales[parameter.name], scale.isFinite, scale > 0 {
        parameter.learningRateScale = scale
      }
    }
    try arena.writeScales(parameters)
  }
}
