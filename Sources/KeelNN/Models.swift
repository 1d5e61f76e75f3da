public import KeelBackend

/// A network that can be rebuilt from a name and a few numbers, as runs record it.
public enum ModelRecipe: Hashable, Sendable {
  /// Conv 32 3x3 relu, max-pool 2x2, Dense 128 relu, Dense classes: for images of digits.
  case digitsCNN(classes: Int)
  /// Dense layers of the given widths with an activation and dropout, then Dense classes.
  case mlp(hidden: [Int], classes: Int, activation: Activation = .relu, dropout: Float = 0)
  /// Image rows as time steps, LSTM units, Dense classes.
  case lstmClassifier(units: Int, classes: Int)
  /// Conv 32 3x3 relu, max-pool 2x2, rows as time steps, LSTM 32 twice, Dense classes.
  case convolutionalLSTM(classes: Int)
  /// ResNet-18 in its form for small images, see ``Models/resNet18(classes:norm:)``.
  case resNet18(classes: Int, norm: NetworkNorm = .batch)
  /// DenseNet-BC, see ``Models/denseNet(depth:growth:compression:classes:)``.
  case denseNet(depth: Int = 40, growth: Int = 12, compression: Float = 0.5, classes: Int)

  /// The name under which runs and the command line know it.
  public var name: String {
    switch self {
    case .digitsCNN: "digits-cnn"
    case .mlp: "mlp"
    case .lstmClassifier: "lstm"
    case .convolutionalLSTM: "conv-lstm"
    case .resNet18: "resnet18"
    case .denseNet: "densenet"
    }
  }

  /// The names of all recipes.
  public static let names = [
    "digits-cnn", "mlp", "resnet18", "densenet", "lstm", "conv-lstm",
  ]

  /// The network.
  public var network: Sequential {
    switch self {
    case .digitsCNN(let classes): Models.digitsCNN(classes: classes)
    case .mlp(let hidden, let classes, let activation, let dropout):
      Models.mlp(hidden: hidden, classes: classes, activation: activation, dropout: dropout)
    case .lstmClassifier(let units, let classes):
      Models.lstmClassifier(units: units, classes: classes)
    case .convolutionalLSTM(let classes): Models.convolutionalLSTM(classes: classes)
    case .resNet18(let classes, let norm): Models.resNet18(classes: classes, norm: norm)
    case .denseNet(let depth, let growth, let compression, let classes):
      Models.denseNet(depth: depth, growth: growth, compression: compression, classes: classes)
    }
  }
}

extension ModelRecipe: Codable {
  private enum Key: String, CodingKey {
    case name, classes, hidden, activation, dropout, units
    case norm, depth, growth, compression
  }

  /// Reads `{"name": …}` with the options of that name.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    let classes = try values.decode(Int.self, forKey: .classes)
    let name = try values.decode(String.self, forKey: .name)
    switch name {
    case "digits-cnn": self = .digitsCNN(classes: classes)
    case "mlp":
      self = .mlp(
        hidden: try values.decode([Int].self, forKey: .hidden), classes: classes,
        activation: try values.decode(Activation.self, forKey: .activation),
        dropout: try values.decode(Float.self, forKey: .dropout))
    case "lstm":
      self = .lstmClassifier(
        units: try values.decode(Int.self, forKey: .units), classes: classes)
    case "conv-lstm": self = .convolutionalLSTM(classes: classes)
    case "resnet18":
      self = .resNet18(
        classes: classes, norm: try values.decode(NetworkNorm.self, forKey: .norm))
    case "densenet":
      self = .denseNet(
        depth: try values.decode(Int.self, forKey: .depth),
        growth: try values.decode(Int.self, forKey: .growth),
        compression: try values.decode(Float.self, forKey: .compression), classes: classes)
    default:
      throw DecodingError.dataCorruptedError(
        forKey: .name, in: values,
        debugDescription: "unknown model '\(name)'; known: \(ModelRecipe.names)")
    }
  }

  /// Writes the name and the options.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(name, forKey: .name)
    switch self {
    case .digitsCNN(let classes), .convolutionalLSTM(let classes):
      try values.encode(classes, forKey: .classes)
    case .lstmClassifier(let units, let classes):
      try values.encode(units, forKey: .units)
      try values.encode(classes, forKey: .classes)
    case .mlp(let hidden, let classes, let activation, let dropout):
      try values.encode(hidden, forKey: .hidden)
      try values.encode(classes, forKey: .classes)
      try values.encode(activation, forKey: .activation)
      try values.encode(dropout, forKey: .dropout)
    case .resNet18(let classes, let norm):
      try values.encode(classes, forKey: .classes)
      try values.encode(norm, forKey: .norm)
    case .denseNet(let depth, let growth, let compression, let classes):
      try values.encode(depth, forKey: .depth)
      try values.encode(growth, forKey: .growth)
      try values.encode(compression, forKey: .compression)
      try values.encode(classes, forKey: .classes)
    }
  }
}

/// Networks that are ready to use.
public enum Models {
  /// A small convolutional network for images of digits; its outputs are logits.
  public static func digitsCNN(classes: Int = 10) -> Sequential {
    Sequential {
      Conv2D(32, kernel: 3, activation: .relu)
      MaxPool2D(2)
      Flatten()
      Dense(128, activation: .relu)
      Dense(classes)
    }
  }

  /// Dense layers of the given widths, each with an activation and, if wanted, dropout; its
  /// outputs are logits.
  public static func mlp(
    hidden: [Int], classes: Int, activation: Activation = .relu, dropout: Float = 0
  ) -> Sequential {
    Sequential {
      Flatten()
      for width in hidden {
        Dense(width, activation: activation)
        if dropout != 0 { Dropout(dropout) }
      }
      Dense(classes)
    }
  }
}
