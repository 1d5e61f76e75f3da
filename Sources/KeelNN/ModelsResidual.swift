import KeelAutograd
import KeelBackend

/// What stands between convolutions in a network.
public enum NetworkNorm: String, Hashable, Sendable, Codable, CaseIterable {
  /// Batch normalisation.
  case batch
  /// Group normalisation with 32 groups, fewer where they do not divide the channels.
  case group
  /// Nothing; convolutions have biases.
  case none
}

extension Models {
  /// ResNet-18 for images of about 32x32 (He et al., 2015, in the form for CIFAR): a stem of one
  /// 3x3 convolution without pooling, four stages of two blocks with 64, 128, 256 and 512 filters,
  /// the mean over the image, one dense layer. Its outputs are logits.
  ///
  /// 11,173,962 parameters for three channels and ten classes.
  public static func resNet18(classes: Int, norm: NetworkNorm = .batch) -> Sequential {
    Sequential {
      convolution(64, kernel: 3, stride: 1, norm, activation: .relu)
      for (number, filters) in [64, 128, 256, 512].enumerated() {
        let stride = number == 0 ? 1 : 2
        Sequential {
          basicBlock(filters, stride: Size2D(stride, stride), widens: number > 0, norm).named(
            "block1")
          basicBlock(filters, stride: 1, widens: false, norm).named("block2")
        }.named("stage\(number + 1)")
      }
      GlobalAvgPool2D()
      Dense(classes)
    }
  }

  /// Two 3x3 convolutions around which the input goes unchanged, or through a 1x1 convolution where
  /// its shape changes.
  private static func basicBlock(
    _ filters: Int, stride: Size2D, widens: Bool, _ norm: NetworkNorm
  ) -> Residual {
    let main = Sequential(
      convolution(filters, kernel: 3, stride: stride, norm, activation: .relu)
        + convolution(filters, kernel: 3, stride: 1, norm, activation: .identity))
    let shortcut = Sequential(
      convolution(filters, kernel: 1, stride: stride, norm, activation: .identity))
    return Residual(main: main, shortcut: widens ? shortcut : nil, activation: .relu)
  }

  /// A convolution that keeps the size at stride 1, and what normalises it.
  private static func convolution(
    _ filters: Int, kernel: Int, stride: Size2D, _ norm: NetworkNorm, activation: Activation
  ) -> [any Layer] {
    let edge = kernel / 2
    let layer = Conv2D(
      filters, kernel: Size2D(kernel, kernel), stride: stride,
      padding: .explicit(top: edge, left: edge, bottom: edge, right: edge),
      activation: norm == .none ? activation : .identity, usesBias: norm == .none,
      initializer: .heNormal)
    switch norm {
    case .batch: return [layer, BatchNorm(momentum: 0.9, epsilon: 1e-5, activation: activation)]
    case .group:
      var groups = 32
      while filters % groups != 0 { groups /= 2 }
      return [layer, GroupNorm(groups, activation: activation)]
    case .none: return [layer]
    }
  }
}
