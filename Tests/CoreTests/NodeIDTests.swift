import Core
import Testing

@Suite struct NodeIDTests {
  @Test func fortyHexDigitsAreReadInBothCases() throws {
    let text = "00112233445566778899aabbccddeeff01234567"
    let id = try #require(NodeID(hex: text))
    #expect(id.description == text)
    #expect(NodeID(hex: text.uppercased()) == id)
    #expect(NodeID(random: id.bytes) == id)
  }

  @Test func anythingElseIsNot() {
    let good = String(repeating: "a", count: 40)
    for bad in [
      "", "a", String(good.dropLast()), good + "a", good.dropLast() + "g", good.dropLast() + " ",
      "+" + good.dropFirst(), "é" + good.dropFirst(2),
    ] {
      #expect(NodeID(hex: bad) == nil, "\(bad)")
    }
  }

  @Test func idsAreOrderedByTheirBytes() throws {
    let a = NodeID(random: [UInt8](repeating: 1, count: 20))
    let b = NodeID(random: [UInt8](repeating: 1, count: 19) + [2])
    #expect(a < b && !(b < a) && !(a < a))
  }
}
