import Glibc
import Keel
import Testing

/// The main job, whole: it takes some ten seconds per device.
@Suite(.serialized) struct DigitsTests {
  /// The digits network after some epochs, and what it went through.
  private func train(
    _ data: (train: Dataset, test: Dataset), on device: Device, epochs: Int
  ) throws -> History {
    let model = try Model(.digitsCNN(classes: 10), input: [28, 28, 1], device: device, seed: 2)
    let trainer = try model.compile(optimizer: .adam(), loss: .softmaxCrossEntropy())
    return try trainer.fit(
      data.train, epochs: epochs, batchSize: 32, validation: .data(data.test)
    ).history
  }

  private func accuracy(_ history: History) -> Double {
    history.epochs.last?.validationAccuracy ?? 0
  }

  @Test(arguments: TestDevices.all) func drawnDigitsAreLearned(_ device: Device) throws {
    let history = try train(SyntheticDigits.trainAndTest(), on: device, epochs: 5)
    #expect(accuracy(history) >= 0.97)
  }

  /// 6000 and 2000 real digits, ten epochs: at least 97.0 % on every device, and loss curves that
  /// stay together although devices sum in different orders.
  @Test func realDigitsAreLearnedAlikeOnEveryDevice() throws {
    guard let folder = getenv("KEEL_MNIST").map({ String(cString: $0) }) else {
      print("skipped: real digits, because KEEL_MNIST names no folder")
      return
    }
    let data = try MNISTFolder(folder).loadTrainAndTest(train: 6000, test: 2000)
    let histories = try TestDevices.all.map { try train(data, on: $0, epochs: 10) }
    for (device, history) in zip(TestDevices.all, histories) {
      print("real digits on \(device): \(100 * accuracy(history)) %")
      #expect(accuracy(history) >= 0.97)
    }
    for history in histories.dropFirst() {
      for (one, other) in zip(histories[0].epochs, history.epochs) {
        // The envelope: a tenth of the loss and a hundredth, from the first epoch to the last.
        #expect(abs(one.loss - other.loss) <= 0.1 * one.loss + 0.01)
      }
    }
  }
}
