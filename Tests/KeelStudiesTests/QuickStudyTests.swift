import FoundationEssentials
import Keel
import KeelBackend
import KeelData
import KeelStudies
import Testing

/// The quick studies find on every device what stands in `docs/studies/quick`.
@Suite struct QuickStudyTests {
  private static let names = ["initialisation", "defences"]

  @Test(arguments: names) func findingsAreThoseOfTheDocumentation(name: String) throws {
    let study = try #require(StudyCatalog.study(named: name))
    let path = repository + "/docs/studies/quick/\(name).json"
    let committed = try StudyResult(json: Array(Data(contentsOf: URL(filePath: path))))
    let (train, test) = study.examples(.quick)
    let data = try SyntheticDigits.trainAndTest(train: train, test: test)
    for device in TestDevices.all {
      let setting = StudySetting(
        device: device, train: data.train, test: data.test, data: StudySetting.drawnDigits,
        scale: .quick)
      let result = try study.run(setting)
      #expect(result.findings == committed.findings, "\(device)")
    }
  }

  private var repository: String {
    #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
  }
}
