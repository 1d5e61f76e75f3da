import FoundationEssentials
import Keel
import KeelBackend
import KeelNN
import KeelStudies
import Testing

/// A study so small that it can run in every test.
private struct TinyStudy: Study {
  let name = "tiny"
  let title = "A tiny study & its <page>"
  let article = "What an article might say."
  let claim = "Large steps are as good as small ones."

  func run(_ setting: StudySetting) throws -> StudyResult {
    let network = Models.mlp(hidden: [16], classes: setting.train.classCount)
    var calm = StudyRun(
      "calm", group: "rates", options: "0.1", network: network,
      optimizer: .sgd(learningRate: 0.1), epochs: 2)
    calm.showsGradients = true
    var clipped = calm
    clipped.name = "clipped"
    clipped.stability.clip = [.globalNorm(0.01)]
    var wild = calm
    wild.name = "wild"
    wild.optimizer = .sgd(learningRate: 1e6)
    var hooked = calm
    hooked.name = "hooked"
    hooked.prepare = { (trainer) throws(TensorError) in try trainer.model.initialize(.zeros) }
    hooked.afterStep = { (trainer, step) throws(TensorError) in
      try trainer.model.initialize(.zeros)
    }
    let variants = try setting.trainAll([calm, clipped, wild, hooked])
    return StudyResult(
      self, setting, method: "Four trainings.", variants: variants,
      measurements: [.init("one", expected: "1", measured: "1", holds: true)],
      details: [.init("part", .no, "no")], verdict: "They are not.", supports: .no)
  }
}

private func setting(_ device: Device = .cpu, seed: UInt64 = 1) throws -> StudySetting {
  let data = try SyntheticDigits.trainAndTest(train: 320, test: 100)
  return StudySetting(
    device: device, train: data.train, test: data.test, data: StudySetting.drawnDigits,
    scale: .quick, seed: seed)
}

@Suite struct StudyKitTests {
  @Test func variantsSayHowTheyEnded() throws {
    let result = try TinyStudy().run(setting())
    let calm = try #require(result["calm"])
    #expect(calm.outcome == .survived)
    #expect(calm.testAccuracy > 0.3)
    #expect(calm.curve.count == 2)
    #expect(calm.curve.last?.testAccuracy == calm.testAccuracy)
    #expect(calm.engagementRate == 0)
    #expect(calm.trace.weights == ["dense1.weight", "dense2.weight"])
    #expect(calm.trace.norms.allSatisfy { $0.count == calm.trace.steps.count })
    #expect(calm.largestGradientNorm >= calm.firstGradientNorm)

    let clipped = try #require(result["clipped"])
    #expect(clipped.engagementRate == 1)
    #expect(clipped.firstGradientNorm == calm.firstGradientNorm)
    #expect(clipped.finalLoss > calm.finalLoss)

    let wild = try #require(result["wild"])
    #expect(wild.outcome.kind == .diverged)
    #expect((wild.outcome.step ?? 0) > 1)
    #expect(wild.curve.count < 2)

    // Weights that are 0 before the first step and set to 0 after every one learn nothing.
    let hooked = try #require(result["hooked"])
    #expect(hooked.outcome == .stalled)
    #expect(hooked.trace.norms[0].allSatisfy { $0 == 0 })
  }

  @Test func twoRunsGiveTheSameBytes() throws {
    let first = try TinyStudy().run(setting()).json
    #expect(try TinyStudy().run(setting()).json == first)
    #expect(try TinyStudy().run(setting(seed: 2)).json != first)
  }

  @Test func resultsComeBackFromTheirFiles() throws {
    let result = try TinyStudy().run(setting())
    let back = try StudyResult(json: result.json)
    #expect(try back.json == result.json)
    #expect(back.findings == result.findings)
    #expect(result.findings.contains("rates / wild: diverged"))
    #expect(result.findings.last == "tiny: no")
    #expect(back["calm"] == result["calm"])
  }

  /// Lists of numbers stand in one line, and what is only plotted can be left out.
  @Test func filesAreSmall() throws {
    let result = try TinyStudy().run(setting())
    let text = String(decoding: try result.json, as: UTF8.self)
    let lines = text.split(separator: "\n")
    #expect(lines.contains { $0.contains("\"total\":[") && $0.contains("]") })
    #expect(lines.contains { $0.trimmingPrefix(while: { $0 == " " }).hasPrefix("{\"accuracy\":") })
    #expect(text.utf8.count < 40_000)
    let short = result.withoutCurves
    #expect(short.findings == result.findings && short.measurements == result.measurements)
    #expect(short.variants.allSatisfy { $0.curve.isEmpty && $0.trace.total.isEmpty })
    #expect(try short.json.count < result.json.count / 2)
    #expect(try StudyResult(json: short.json).json == short.json)
  }

  @Test func pagesAreWellFormed() throws {
    let study = TinyStudy()
    let result = try study.run(setting())
    let html = StudyPage(study, result).html
    #expect(html.contains("A tiny study &amp; its &lt;page&gt;"))
    #expect(html.contains("gradient norm of each weight: calm"))
    #expect(html.contains("part of steps that were clipped"))
    #expect(html.contains(">diverged at step"))
    #expect(!html.contains("<script"))
    #expect(!html.contains("nan,") && !html.contains("inf,"))
    #expect(html.utf8.count < 400_000)
    for tag in ["table", "svg", "figure", "p", "h2", "tr", "td", "div", "main"] {
      let opened = html.ranges(of: "<\(tag)>").count + html.ranges(of: "<\(tag) ").count
      #expect(opened == html.ranges(of: "</\(tag)>").count, "\(tag)")
      #expect(opened > 0, "\(tag)")
    }
  }

  @Test func numbersAreRoundedToSixDigits() {
    #expect(123_456.789.sixDigits == 123_457)
    #expect(0.000_012_345_678_9.sixDigits == 0.000_012_345_7)
    #expect((-1.0).sixDigits == -1)
    #expect(Double.infinity.sixDigits == .infinity)
    #expect(Double.nan.sixDigits.isNaN)
    #expect(1e300.sixDigits == 1e300)
    #expect(123_456.789.fourDigits == 123_500)
    #expect(0.000_012_345_678_9.fourDigits == 0.000_012_35)
  }

  @Test func studiesHaveNamesOfTheirOwn() {
    let names = StudyCatalog.all.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(StudyCatalog.study(named: "initialisation") != nil)
    #expect(StudyCatalog.study(named: "defences") != nil)
    #expect(StudyCatalog.study(named: "nothing") == nil)
    #expect(StudyCatalog.all.allSatisfy { !$0.article.isEmpty && $0.claim.hasSuffix(".") })
  }
}
