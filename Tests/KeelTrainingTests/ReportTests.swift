import FoundationEssentials
import KeelStability
import KeelTraining
import Testing

@Suite struct ReportTests {
  private static func history(epochs: Int, stepsEach: Int, withValidation: Bool = true) -> History {
    var history = History()
    for epoch in 1...max(epochs, 1) where epochs > 0 {
      for step in 1...stepsEach {
        let number = (epoch - 1) * stepsEach + step
        let norm = 0.1 * Float(number)
        let report =
          step == 1
          ? StepReport(
            outcome: .clipped(factor: 0.5), norm: norm, clippedNorm: norm / 2, largest: norm / 4,
            factor: 0.5, learningRate: 1e-3)
          : StepReport(
            outcome: step == 3 ? .skipped(.gradient(tensors: ["dense1.weight"])) : .applied,
            norm: norm, clippedNorm: norm, largest: norm / 4, factor: 1, learningRate: 1e-3)
        history.steps.append(
          StepRecord(
            step: UInt64(number), epoch: epoch, examples: 32, loss: 2 / Float(number).squareRoot(),
            accuracy: 1 - 1 / Float(number), report))
      }
      let done = Double(epoch * stepsEach)
      history.epochs.append(
        EpochRecord(
          epoch: epoch, step: UInt64(done), loss: 2 / done.squareRoot(), accuracy: 1 - 1 / done,
          gradientNorm: 0.3, clippedFraction: 0.25, skippedSteps: 1,
          validationLoss: withValidation ? 2.2 / done.squareRoot() : nil,
          validationAccuracy: withValidation ? 0.97 : nil, seconds: 1.5))
    }
    return history
  }

  @Test(arguments: [(0, 1), (1, 1), (1, 7), (10, 188), (100, 3)])
  func picturesAreWellFormed(_ epochs: Int, _ steps: Int) {
    let html = Report(Self.history(epochs: epochs, stepsEach: steps)).html
    #expect(html.hasPrefix("<!doctype html>") && html.hasSuffix("</html>\n"))
    #expect(!html.contains("nan") && !html.contains("inf"))
    #expect(html.contains(">loss<") && html.contains(">accuracy<"))
    #expect(html.contains(">gradient norm<"))
    #expect(html.count { $0 == "\"" } % 2 == 0)
    if epochs > 0 {
      #expect(html.contains(">training<") && html.contains(">validation<"))
      #expect(html.contains(">epoch<") && html.contains(">clipped</td>"))
    }
    #expect(html.utf8.count < 150_000)
  }

  @Test func historySurvivesJSON() throws {
    let history = Self.history(epochs: 3, stepsEach: 5, withValidation: false)
    let data = try JSONEncoder().encode(history)
    #expect(try JSONDecoder().decode(History.self, from: data) == history)
    #expect(throws: DecodingError.self) {
      let text =
        "{\"epochs\":[],\"steps\":{\"step\":[1],\"epoch\":[],\"examples\":[],\"loss\":[],"
        + "\"accuracy\":[],\"gradientNorm\":[],\"clipCoefficient\":[]}}"
      _ = try JSONDecoder().decode(History.self, from: Data(text.utf8))
    }
  }

  @Test func tableHasALinePerEpoch() {
    let lines = Self.history(epochs: 2, stepsEach: 4).csv.split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines[0].split(separator: ",").count == 10)
    #expect(lines[2].hasPrefix("2,8,0.707"))
  }

  @Test func barInATerminalAndLinesElsewhere() {
    func output(isTerminal: Bool, columns: Int = .max) -> String {
      var text = ""
      let bar = ProgressBar(isTerminal: isTerminal, columns: columns) { text += $0 }
      let progress = TrainingProgress(
        epoch: 2, lastEpoch: 10, batch: 94, batchesPerEpoch: 188, loss: 0.12345, accuracy: 0.9631,
        gradientNorm: 1.234, examplesPerSecond: 5821.4, secondsLeft: 72)
      bar.progressed(progress)
      for epoch in Self.history(epochs: 2, stepsEach: 4).epochs { bar.epochEnded(epoch) }
      return text
    }
    let bar = output(isTerminal: true)
    #expect(bar.contains("\repoch 2/10 [============>           ]"))
    #expect(bar.contains("loss 0.1235  accuracy 96.31 %  |g| 1.23  5821 images/s  1:12 left"))
    // A narrow terminal: a shorter bar, and no line that wraps.
    let narrow = output(isTerminal: true, columns: 80).split(separator: "\r")[0]
    #expect(narrow.hasPrefix("epoch 2/10 [==> ]  loss 0.1235") && narrow.count == 79)
    let lines = output(isTerminal: false)
    #expect(!lines.contains("\r"))
    #expect(lines.split(separator: "\n").count == 2)
    #expect(lines.contains("validation loss 0.7778  accuracy 97.00 %"))
  }

  @Test func secondsAsText() {
    #expect(clock(3723) == "1:02:03" && clock(7) == "0:07")
  }
}
