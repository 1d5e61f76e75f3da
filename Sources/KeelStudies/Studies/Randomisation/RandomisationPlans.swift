import KeelAutograd
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// The variants of the study of randomness in gradient descent.
struct RandomisationPlans {
  /// Passes over the data.
  let epochs: Int
  /// Examples to train on.
  let examples: Int
  /// The seed of what is drawn.
  let seed: UInt64

  /// The networks of the study.
  enum Net: String, CaseIterable {
    case cnn = "CNN"
    case denseNet = "DenseNet"

    var network: Sequential {
      switch self {
      case .cnn: Models.digitsCNN()
      case .denseNet: Self.smallDenseNet
      }
    }

    /// Two dense blocks of two layers on images of 14 x 14; its convolutions have 3 x 3 taps each.
    private static var smallDenseNet: Sequential {
      func connection() -> DenseConnection {
        DenseConnection {
          BatchNorm(momentum: 0.9, activation: .relu)
          Conv2D(8, kernel: 3, padding: .same, usesBias: false, initializer: .heNormal)
        }
      }
      return Sequential {
        Conv2D(8, kernel: 3, stride: 2, padding: .same, usesBias: false, initializer: .heNormal)
        connection().named("layer1")
        connection().named("layer2")
        BatchNorm(momentum: 0.9, activation: .relu)
        Conv2D(12, kernel: 1, usesBias: false, initializer: .heNormal)
        AvgPool2D(2)
        connection().named("layer3")
        connection().named("layer4")
        BatchNorm(momentum: 0.9, activation: .relu)
        GlobalAvgPool2D()
        Dense(10)
      }
    }
  }

  /// The same network with each kind of descent.
  func descents(_ net: Net) -> [TrialPlan] {
    let rate: Float = net == .cnn ? 0.05 : 0.1
    func plan(_ name: String, _ optimizer: Optimizer) -> TrialPlan {
      TrialPlan(
        name: "\(net.rawValue), \(name)", group: "Kinds of descent: \(net.rawValue)",
        network: net.network, optimizer: optimizer,
        epochs: epochs)
    }
    var plans: [TrialPlan] = []
    var batch = plan("batch gradient descent", .sgd(learningRate: 4 * rate))
    batch.batchSize = 250
    batch.accumulation = (examples + 249) / 250
    plans.append(batch)
    for order in CoordinateOrder.allCases {
      var descent = plan("coordinate descent, \(order.rawValue)", .sgd(learningRate: rate))
      descent.stability.coordinates = order
      plans.append(descent)
    }
    plans += [
      plan("SGD", .sgd(learningRate: rate)),
      plan("SGD, momentum 0.9", .sgd(learningRate: rate / 5, momentum: 0.9)),
      plan("Adam", .adam()),
    ]
    var pair = plan("pair-sampling SGD", .sgd(learningRate: 0.1))
    pair.pair = PairTerm(weight: 0.9)
    plans.append(pair)
    for amplitude: Float in [0, 0.001, 0.01, 0.1] {
      var noisy = plan("UPSGD, a = \(amplitude)", .sgd(learningRate: rate))
      noisy.stability.noise = .uniform(amplitude: amplitude)
      plans.append(noisy)
    }
    for place in plans.indices { plans[place].showsGradients = place == 3 }
    return plans
  }
}
