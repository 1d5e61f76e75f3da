import KeelData
import Testing

@Suite struct SHA256Tests {
  /// The examples of FIPS 180-4, and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func publishedExamples(message: String, sum: String) {
    #expect(SHA256.digest(of: Array(message.utf8)).description == sum)
  }

  @Test func aMillionTimesA() {
    let message = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(
      SHA256.digest(of: message).description
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func piecesGiveTheSum() {
    var numbers = TestNumbers(state: 4)
    for length in 0..<260 {
      let message = numbers.bytes(length)
      var sum = SHA256()
      var rest = message[...]
      while !rest.isEmpty {
        let piece = rest.prefix(1 + Int(numbers.next() % 90))
        Array(piece).withUnsafeBytes { sum.update($0) }
        rest = rest.dropFirst(piece.count)
      }
      #expect(sum.finish() == SHA256.digest(of: message))
    }
  }
}
