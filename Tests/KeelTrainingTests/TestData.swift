import Glibc
import Keel
import KeelBackend
import KeelData
import KeelNN
import KeelStability
import KeelTraining

/// Small data and models that tests share.
enum TestData {
  /// Images of 8x8 with a bright column that tells the class, in noise.
  static func columns(_ count: Int, classes: Int = 4, seed: UInt64 = 3) throws -> Dataset {
    var random = RandomSequence(RandomKey(seed: seed, .user))
    var (pixels, labels): ([UInt8], [Int32]) = ([], [])
    for place in 0..<count {
      let label = place % classes
      for pixel in 0..<64 {
        let noise = random.next(below: 90)
        pixels.append(UInt8(pixel % 8 == 2 * label ? 150 + noise : noise))
      }
      labels.append(Int32(label))
    }
    return try Dataset(
      images: pixels, height: 8, width: 8, labels: labels, classCount: classes)
  }

  /// A small network with every kind of state: convolution, batch normalisation, dropout.
  static var network: Sequential {
    Sequential {
      Conv2D(4, kernel: 3, padding: .same)
      BatchNorm(momentum: 0.9, activation: .relu)
      MaxPool2D(2)
      Flatten()
      Dropout(0.2)
      Dense(16, activation: .relu)
      Dense(4)
    }
  }

  static func trainer(
    _ device: Device, seed: UInt64 = 7, optimizer: Optimizer = .adam(learningRate: 3e-3),
    clip: Float? = 1, stability: Stability = Stability()
  ) throws -> Trainer {
    try Model(network, input: [8, 8, 1], device: device, seed: seed)
      .compile(
        optimizer: optimizer, loss: .softmaxCrossEntropy(), clipGlobalNorm: clip,
        stability: stability)
  }

  /// A training whose model can be rebuilt from its description.
  static func recipeTrainer(_ device: Device, hidden: [Int] = [12]) throws -> Trainer {
    let recipe = ModelRecipe.mlp(hidden: hidden, classes: 4, dropout: 0.1)
    return try Model(recipe, input: [8, 8, 1], device: device, seed: 7)
      .compile(optimizer: .adam(), loss: .softmaxCrossEntropy(), clipGlobalNorm: 1)
  }

  /// The bits of all parameters and states.
  static func bits(_ model: Model) throws -> [[UInt32]] {
    try (model.parameters.map(\.name) + model.states.map(\.name)).map {
      try model.weights(named: $0).map(\.bitPattern)
    }
  }
}

/// Runs a body with a fresh folder, which is removed afterwards.
func withFolder(_ body: (String) throws -> Void) throws {
  var template = Array("/tmp/keel-training-XXXXXX".utf8CString)
  guard let made = mkdtemp(&template) else { return }
  let folder = String(cString: made)
  defer { remove(folder) }
  try body(folder)
}

/// Removes a folder of plain files and folders of them.
private func remove(_ path: String) {
  if let folder = opendir(path) {
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { remove("\(path)/\(name)") }
    }
    closedir(folder)
  }
  Glibc.remove(path)
}

/// A callback that ends a training after a number of steps, and remembers what it saw.
final class Watcher: Callback {
  var stopsAfter: Int?
  var steps = 0
  var values: [StepRecord] = []
  var readsValues = false
  var epochs: [EpochRecord] = []
  var progress: [TrainingProgress] = []
  var onStep: ((Int) -> Void)?

  func stepEnded(_ step: StepEvent) throws(TrainingError) {
    steps += 1
    onStep?(steps)
    if readsValues { values.append(try step.values()) }
  }
  func progressed(_ progress: TrainingProgress) { self.progress.append(progress) }
  func epochEnded(_ epoch: EpochRecord) { epochs.append(epoch) }
  var wantsStop: Bool { stopsAfter.map { steps >= $0 } ?? false }
}
