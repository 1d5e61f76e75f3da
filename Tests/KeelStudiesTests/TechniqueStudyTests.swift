import FoundationEssentials
import Keel
import KeelBackend
import KeelData
import KeelStudies
import Testing

/// The studies of articles C, D and E in their quick form.
@Suite(.serialized) struct TechniqueStudyTests {
  private static let names = ["flip-and-mirror", "randomisation", "equity"]

  private static let devices: [Device] = {
    var devices = [Device.cpu]
    if let openCL = try? Device.select("opencl").device { devices.append(openCL) }
    return devices
  }()

  /// What `keel study NAME --quick` wrote to `docs/studies/quick`.
  private func recorded(_ name: String) throws -> StudyResult {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let file = root.appending(path: "docs/studies/quick/\(name).json")
    return try StudyResult(json: Array(try Data(contentsOf: file)))
  }

  private func run(_ name: String, _ device: Device) throws -> StudyResult {
    let study = try #require(StudyCatalog.study(named: name))
    let examples = StudyScale.quick.examples
    let data = try SyntheticDigits.trainAndTest(train: examples.train, test: examples.test)
    return try study.run(
      StudySetting(
        device: device, train: data.train, test: data.test, data: StudySetting.drawnDigits,
        scale: .quick))
  }

  /// Names, outcomes, findings and what was measured are those of the recorded run, on every
  /// device; floats are not compared.
  @Test(arguments: names, devices)
  func quickFindingsAreTheRecordedOnes(_ name: String, _ device: Device) throws {
    let result = try run(name, device)
    #expect(result.findings == (try recorded(name)).findings)
    for one in result.measurements {
      #expect(one.holds, "\(one.what): \(one.measured), expected \(one.expected)")
    }
    if device.info.selector == "cpu", name == "equity" {
      // The whole result is reproduced, to the last digit.
      #expect(try run(name, device).json == result.json)
    }
  }

  /// The recorded files can be read again and hold no path of a machine.
  @Test(arguments: names) func recordsNameNoMachine(_ name: String) throws {
    let record = try recorded(name)
    #expect(record.study == name && record.scale == .quick)
    let text = String(decoding: try record.json, as: UTF8.self)
    for part in ["/home/", "/root/", "/Users/", "/tmp/"] {
      #expect(!text.contains(part), "\(name) names \(part)")
    }
  }

  /// A section becomes a heading, a table and plots.
  @Test func sectionsStandOnThePage() throws {
    var result = try recorded("equity")
    result.variants = []
    result.sections = [
      StudySection(
        title: "One & only", text: "Why.", columns: ["what", ">value"], rows: [["a", "1.5"]],
        charts: [.init("loss", across: "step", [.init("first", [(1, 2), (2, 1)])])])
    ]
    let study = try #require(StudyCatalog.study(named: "equity"))
    let html = StudyPage(study, result).html
    for part in ["<h2>One &amp; only</h2>", "<td class=\"number\">1.5</td>", "<polyline"] {
      #expect(html.contains(part), "\(part)")
    }
  }
}
