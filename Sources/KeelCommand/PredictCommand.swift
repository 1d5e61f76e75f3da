import ArgumentParser
import Keel
import KeelBackend

/// `keel predict`: what a run's network says of pictures.
struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Prints the class and the probabilities of pictures.",
    discussion: """
      A picture is made grey, square and as large as the network's input. Digits are light on dark
      for the network: a picture with a light border is inverted, unless --invert or --no-invert
      decides.
      """)

  @Argument(help: ArgumentHelp("The folder of the run.", valueName: "run"))
  var path: String

  @Argument(help: ArgumentHelp("PNG files.", valueName: "png"))
  var pictures: [String]

  @OptionGroup var device: DeviceOption
  @OptionGroup var products: ProductPrecisionOption

  @Flag(inversion: .prefixedNo, help: "Exchange light and dark.")
  var invert: Bool?

  func run() throws {
    let folder = try RunFolder(existing: path)
    // Every picture is read before the device is touched: a bad one is told at once.
    let images = try pictures.map { try GrayImage(pngFile: $0) }
    let device = try device.open()
    try products.apply(to: device)
    let trainer = try folder.trainer(on: device)
    for (name, image) in zip(pictures, images) {
      let fitted = try image.fitted(to: trainer.model.inputShape, invert: invert)
      guard let prediction = try trainer.predict(.bytes(fitted.pixels)).first else { continue }
      print("\(name): \(prediction.label)")
      for (label, probability) in prediction.probabilities.enumerated() {
        let bar = String(repeating: "█", count: Int((30 * probability).rounded()))
        let share = (100 * Double(probability)).fixed(1)
        print("  \(label)  \(String(repeating: " ", count: 5 - share.count))\(share) %  \(bar)")
      }
    }
  }
}
