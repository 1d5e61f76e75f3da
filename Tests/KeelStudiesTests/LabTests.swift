import FoundationEssentials
import Keel
import KeelBackend
import KeelStudies
import Testing

@Suite struct LabTests {
  /// The table that stands in the documentation.
  private static let committed =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("docs/studies/lab.json").path

  /// The quick form on the CPU, computed once for all tests.
  private static let quick = Result { try Lab(device: .cpu, scale: .quick).run() }

  private func lab(_ catastrophes: [String], _ defences: [String], _ device: Device) throws -> Lab {
    var lab = Lab(device: device)
    #expect(lab.keepOnly(catastrophes: catastrophes, defences: defences) == nil)
    return lab
  }

  @Test func quickTableIsTheCommittedOne() throws {
    let text = try LabTests.quick.get().json(onlyVerdicts: true)
    let path = LabTests.committed
    let known = try #require(FileManager.default.contents(atPath: path), "no file \(path)")
    let lines = text.split(separator: "\n")
    let before = String(decoding: known, as: UTF8.self).split(separator: "\n")
    let changed = zip(lines, before).filter { $0 != $1 }.prefix(6)
    // Told apart first: the whole tables would be printed.
    let isKnown = lines == before
    #expect(
      isKnown,
      "keel lab --device cpu --quick --verdicts docs/studies/lab.json; differs: \(changed)")
  }

  @Test func everyCatastropheExplodesWithoutADefence() throws {
    let result = try LabTests.quick.get()
    for catastrophe in result.catastrophes {
      let cell = try #require(result.cell(catastrophe.name, "none"))
      #expect(cell.verdict == .diverged && (cell.failedAt ?? 0) > 0, "\(cell)")
    }
  }

  /// Closed forms: gradients to a tolerance, steps of failure exactly.
  @Test(arguments: TestDevices.all) func theoryHolds(_ device: Device) throws {
    let result = try lab([], ["none"], device).run()
    #expect(result.claims.count == 12)
    for claim in result.claims { #expect(claim.holds, "\(claim)") }
    for name in [
      "quadratic", "deep-linear", "lstm-100", "softmax", "half", "poison", "article-init",
    ] {
      let steps = result.claims.filter {
        $0.catastrophe == name && $0.quantity == "step of failure"
      }
      #expect(steps.count == 1 && steps[0].tolerance == 0)
      #expect(Int(steps.first?.predicted ?? -1) == result.cell(name, "none")?.failedAt)
    }
  }

  /// |1 - 0.3 * 10|^k passes the bound after 14 updates; computed here without the lab.
  @Test func quadraticFailsWhereItsGrowthSays() throws {
    let cell = try #require(lab(["quadratic"], ["none"], .cpu).run().cells.first)
    var (loss, updates) = (5.0, 0)
    while loss <= 1e9 {
      loss *= 4
      updates += 1
    }
    #expect(cell.failedAt == updates + 1)
  }

  /// What keeps an LSTM upright over 100 steps does so on every device: weights that do not grow
  /// gradients, a forget gate that forgets, and limits.
  @Test(arguments: [
    ("lstm-100", ["orthogonal", "he"], ["global-norm", "forget-bias"]),
    ("lstm-forget", ["forget-bias"], ["skip", "orthogonal"]),
  ])
  func gatedRecurrenceIsSavedAlikeOnEveryDevice(
    _ name: String, _ saving: [String], _ useless: [String]
  ) throws {
    var first: [String] = []
    for device in TestDevices.all {
      let result = try lab([name], ["none", "global-norm"] + saving + useless, device).run()
      for defence in saving {
        #expect(result.cell(name, defence)?.verdict == .survived, "\(defence) on \(device)")
      }
      for defence in ["none"] + useless {
        let verdict = result.cell(name, defence)?.verdict
        #expect(verdict == .diverged || verdict == .stopped, "\(defence) on \(device)")
      }
      let verdicts = result.cells.map { "\($0.defence) \($0.verdict) \($0.failedAt ?? 0)" }
      if first.isEmpty { first = verdicts }
      #expect(verdicts == first)
    }
    // A limit on the norm keeps what is finite upright.
    #expect(first.contains("global-norm stalled 0") == (name == "lstm-forget"))
  }

  @Test func twoRunsAreEqual() throws {
    let names = (["deep-linear", "outlier"], ["none", "rewind", "global-norm", "deadly-flip"])
    let first = try lab(names.0, names.1, .cpu).run()
    let second = try lab(names.0, names.1, .cpu).run()
    // As text: losses may be NaN, which equals nothing.
    #expect("\(first.cells)" == "\(second.cells)" && first.cells.count == 8)
  }

  /// The same verdicts and steps on every device.
  @Test func devicesAgree() throws {
    let names = (
      ["quadratic", "softmax", "half", "poison", "outlier"],
      ["none", "skip", "rewind", "global-norm", "cosine", "orthogonal", "loss-scale"]
    )
    func outcomes(_ device: Device) throws -> [String] {
      try lab(names.0, names.1, device).run().cells.map {
        "\($0.catastrophe) \($0.defence) \($0.verdict) \($0.failedAt ?? 0)"
      }
    }
    let first = try outcomes(.cpu)
    for device in TestDevices.all.dropFirst() { #expect(try outcomes(device) == first) }
  }

  /// Each defence saves something that explodes without it, but for the few of which the committed
  /// table says that they do not.
  @Test func defencesHelpOrAreListedAsHelpingNothing() throws {
    struct File: Decodable { var savesNothing: [String] }
    let known = try #require(FileManager.default.contents(atPath: LabTests.committed))
    let listed = try JSONDecoder().decode(File.self, from: known).savesNothing
    let result = try LabTests.quick.get()
    #expect(listed.contains("none") && listed.count < result.defences.count / 3, "\(listed)")
    for defence in result.defences {
      let saves = !result.helped(by: defence.name).isEmpty
      #expect(saves != listed.contains(defence.name), "\(defence.name)")
      #expect(result.verdict(on: defence).hasPrefix(saves ? "saves " : "saves none"))
    }
    for name in ["skip", "rewind", "global-norm", "loss-scale", "equity", "orthogonal", "lsuv"] {
      #expect(!listed.contains(name))
    }
  }

  @Test func whatDoesNotApplySaysWhy() throws {
    let result = try LabTests.quick.get()
    for cell in result.cells {
      #expect((cell.verdict == .notApplicable) == (cell.reason != nil), "\(cell)")
      #expect(cell.reason?.isEmpty != true)
      #expect((cell.failedAt != nil) == [.diverged, .stopped].contains(cell.verdict), "\(cell)")
    }
    #expect(result.cell("quadratic", "equity")?.verdict == .notApplicable)
  }

  @Test func pageAndTextNameEveryCell() throws {
    let result = try lab(["softmax"], ["none", "skip", "stable-softmax", "equity"], .cpu).run()
    let (page, table, text) = (result.page(), result.table(), result.markdown())
    for defence in result.defences {
      for whole in [page, table, text] { #expect(whole.contains(defence.name)) }
    }
    #expect(page.contains("<svg") && page.contains("no softmax") == false)
    #expect(page.contains("there are no hidden units") && text.contains("n/a"))
    #expect(result.json().contains("\"finalLoss\""))
    #expect(!result.json(onlyVerdicts: true).contains("finalLoss"))
  }

  @Test func unknownNamesAreRefused() {
    var lab = Lab(device: .cpu)
    #expect(lab.keepOnly(catastrophes: ["tsunami"], defences: [])?.contains("quadratic") == true)
    #expect(lab.keepOnly(catastrophes: [], defences: ["luck"])?.contains("global-norm") == true)
    #expect(lab.catastrophes.count == Catastrophe.all.count)
  }
}
