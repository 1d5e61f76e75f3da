import KeelBackend
import Testing

@Test func numbersAreWrittenWithFixedDigits() {
  #expect(3.14159.fixed(2) == "3.14")
  #expect((-0.5).fixed(0) == "-1" || (-0.5).fixed(0) == "0")
  #expect((-0.001).fixed(2) == "0.00")
  #expect(0.05.fixed(1) == "0.1")
  #expect(Double.nan.fixed(2) == "nan")
  #expect((-Double.infinity).fixed(2) == "-inf")
  #expect(1e300.fixed(3) == "1e+300")
  #expect(1.2345e-7.compact() == "1.23e-07")
  #expect(1e13.compact() == "1.00e+13")
  #expect((-9.999e-8).compact() == "-1.00e-07")
  #expect(692352.grouped == "692,352")
  #expect((3 << 29).bytes == "1.5 GiB")
}

@Test func tablesAlignTheirColumns() {
  var table = TextTable("name", ">count")
  table.add("a", "1")
  table.add("bcd", "12345")
  #expect(table.render() == "name  count\n----  -----\na         1\nbcd   12345")
}
