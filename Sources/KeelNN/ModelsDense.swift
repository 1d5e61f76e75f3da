import KeelAutograd
import KeelBackend

extension Models {
  /// DenseNet-BC (Huang et al., 2017): three dense blocks, each layer of which sees the outputs of
  /// all layers before it in its block. Its outputs are logits.
  ///
  /// The stem is a 3x3 convolution of 2 * growth filters. A dense layer is batch-norm, relu, 1x1
  /// convolution of 4 * growth filters, batch-norm, relu, 3x3 convolution of `growth` filters.
  /// Blocks are joined by transitions: batch-norm, relu, 1x1 convolution that keeps
  /// floor(compression * channels) of the channels, and averages over windows of 2x2.
  ///
  /// - Parameters:
  ///   - depth: convolutions and the dense layer in all: 6 n + 4, n dense layers in each block.
  ///   - growth: filters that each dense layer adds.
  ///   - compression: above 0, at most 1.
  public static func denseNet(
    depth: Int = 40, growth: Int = 12, compression: Float = 0.5, classes: Int
  ) -> Sequential {
    guard depth >= 10, (depth - 4) % 6 == 0 else {
      return refused("a depth of 6 n + 4, at least 10, such as 40 or 100", got: "\(depth)")
    }
    guard growth >= 1, growth <= 1 << 16 else {
      return refused("a growth of 1 to 65536", got: "\(growth)")
    }
    guard compression > 0, compression <= 1 else {
      return refused("a compression above 0, at most 1", got: "\(compression)")
    }
    let layers = (depth - 4) / 6
    var channels = 2 * growth
    var parts: [any Layer] = [convolution(channels, kernel: 3)]
    for block in 1...3 {
      parts.append(denseBlock(layers, growth: growth).named("block\(block)"))
      channels += layers * growth
      if block == 3 { break }
      channels = max(1, Int(compression * Float(channels)))
      parts.append(transition(channels).named("transition\(block)"))
    }
    return Sequential(
      parts + [normalization, GlobalAvgPool2D(), Dense(classes)])
  }

  private static func denseBlock(_ layers: Int, growth: Int) -> Sequential {
    Sequential(
      (1...layers).map { number in
        DenseConnection {
          normalization
          convolution(4 * growth, kernel: 1)
          normalization
          convolution(growth, kernel: 3)
        }.named("layer\(number)")
      })
  }

  private static func transition(_ filters: Int) -> Sequential {
    Sequential {
      normalization
      convolution(filters, kernel: 1)
      AvgPool2D(2)
    }
  }

  private static var normalization: BatchNorm {
    BatchNorm(momentum: 0.9, epsilon: 1e-5, activation: .relu)
  }

  private static func convolution(_ filters: Int, kernel: Int) -> Conv2D {
    Conv2D(
      filters, kernel: Size2D(kernel, kernel), padding: .same, usesBias: false,
      initializer: .heNormal)
  }

  private static func refused(_ requirement: String, got: String) -> Sequential {
    Sequential([RefusedLayer(kind: "denseNet", requirement: requirement, got: got)])
  }

  /// `depth` dense layers of `width` with relu and no normalisation, then Dense classes: the plain
  /// deep network whose signals grow or shrink with every layer unless its first values are right.
  /// Its outputs are logits.
  public static func deepRelu(
    depth: Int, width: Int, classes: Int, initializer: Initializer = .heNormal
  ) -> Sequential {
    guard depth >= 1 else {
      return Sequential([
        RefusedLayer(kind: "deepRelu", requirement: "a depth of at least 1", got: "\(depth)")
      ])
    }
    return Sequential {
      Flatten()
      for _ in 0..<depth { Dense(width, activation: .relu, initializer: initializer) }
      Dense(classes)
    }
  }
}

/// What stands for a network whose options are not usable: says so when a model is built.
private struct RefusedLayer: Layer {
  let kind: String
  let requirement: String
  let got: String

  func build(_ scope: inout LayerScope, input: Shape) throws(TensorError) -> Shape {
    throw .shape(ShapeError(kind, requires: requirement, gotText: got))
  }

  func callAsFunction(_ x: Tensor, _ pass: Pass) throws(TensorError) -> Tensor {
    throw .shape(ShapeError(kind, requires: requirement, gotText: got))
  }
}
