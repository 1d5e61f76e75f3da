import KeelBackend

extension StudyResult {
  /// The variants, for a terminal.
  package var table: String {
    var table = TextTable(
      "variant", "outcome", ">test", ">loss", ">first ‖g‖", ">largest ‖g‖", ">clipped",
      ">skipped")
    for variant in variants {
      table.add(
        (variant.group.isEmpty ? "" : variant.group + ": ") + variant.name, "\(variant.outcome)",
        "\((100 * variant.testAccuracy).fixed(1)) %", variant.finalLoss.compact(),
        variant.firstGradientNorm.compact(), variant.largestGradientNorm.compact(),
        "\((100 * variant.engagementRate).fixed(0)) %", "\(variant.skippedSteps)")
    }
    return table.render()
  }

  /// The findings on parts of the claim, for a terminal.
  package var detailTable: String {
    var table = TextTable("part of the claim", "supported", "what was found")
    for detail in details { table.add(detail.claim, detail.supports.rawValue, detail.sentence) }
    return table.render()
  }

  /// The measurements, for a terminal.
  package var measurementTable: String {
    var table = TextTable("what", "expected", "measured", "holds")
    for one in measurements {
      table.add(one.what, one.expected, one.measured, one.holds ? "yes" : "no")
    }
    return table.render()
  }
}
