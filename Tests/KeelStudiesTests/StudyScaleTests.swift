import KeelStudies
import Testing

@Suite struct StudyScaleTests {
  @Test func scalesAreReadByName() {
    #expect(StudyScale(rawValue: "quick") == .quick)
  }
}
