import KeelBackend
import KeelNN

/// The layers of a model as chains: what stands in one computes on what the one before gives.
struct LintLayout {
  /// A layer in a chain.
  struct Link {
    let path: String
    let layer: any Layer
    let input: Shape
    let output: Shape

    /// The weight of a layer that is a linear map, and what comes after the map.
    var linear: (weight: Parameter, activation: Activation)? {
      switch layer {
      case let layer as Dense: layer.weight.map { ($0, layer.activation) }
      case let layer as Conv2D: layer.weight.map { ($0, layer.activation) }
      default: nil
      }
    }

    /// What the layer applies to each number at its end.
    var activation: Activation? {
      switch layer {
      case let layer as any PointwiseLayer: layer.activation
      case let layer as BatchNorm: layer.activation
      case let layer as GroupNorm: layer.activation
      case let layer as Residual: layer.activation
      default: linear?.activation
      }
    }

    /// Whether it hands its input on, perhaps pooled, thinned or bent.
    var isTransparent: Bool {
      switch layer {
      case is any PointwiseLayer, is MaxPool2D, is AvgPool2D, is GlobalAvgPool2D, is Flatten,
        is Dropout, is RowsAsSteps:
        true
      default: false
      }
    }
  }

  /// The network itself first, then the insides of blocks.
  private(set) var chains: [[Link]] = []
  /// Every layer at any depth.
  let layers: [BuiltLayer]
  private let built: [String: BuiltLayer]

  init(_ model: Model) {
    layers = model.builtLayers
    built = Dictionary(layers.map { ($0.path, $0) }) { first, _ in first }
    chains = [[]]
    add(model.network, at: "", to: 0)
  }

  /// The layer whose output is the network's.
  var last: Link? { chains[0].last }

  private mutating func add(_ layer: any Layer, at path: String, to chain: Int) {
    let layer = layer.unnamed
    if let sequence = layer as? Sequential {
      for (name, part) in zip(sequence.names, sequence.layers) {
        add(part, at: child(name, of: path), to: chain)
      }
      return
    }
    if let shapes = built[path] {
      chains[chain].append(
        Link(path: path, layer: layer, input: shapes.input, output: shapes.output))
    }
    switch layer {
    case let block as Residual:
      addChain(block.main, at: path)
      if let shortcut = block.shortcut { addChain(shortcut, at: child("shortcut", of: path)) }
    case let block as DenseConnection: addChain(block.main, at: path)
    case let block as ReZero: addChain(block.branch, at: child("branch", of: path))
    case let block as Concatenate:
      for (number, branch) in block.branches.enumerated() {
        addChain(branch, at: child("branch\(number + 1)", of: path))
      }
    default: break
    }
  }

  private mutating func addChain(_ layer: any Layer, at path: String) {
    chains.append([])
    add(layer, at: path, to: chains.count - 1)
  }

  private func child(_ name: String, of path: String) -> String {
    path.isEmpty ? name : "\(path).\(name)"
  }
}
