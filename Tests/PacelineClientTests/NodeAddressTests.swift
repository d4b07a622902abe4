import PacelineClient
import Testing

@Suite struct NodeAddressTests {
  @Test(arguments: [
    ("localhost:7401", "localhost", 7401), ("10.0.0.1", "10.0.0.1", 7400), ("[::1]:7402", "::1", 7402),
    ("[fe80::1%eth0]", "fe80::1%eth0", 7400), ("a:65535", "a", 65535), ("a:1", "a", 1),
  ])
  func hostAndPortAreRead(text: String, host: String, port: Int) throws {
    let address = try NodeAddress(parsing: text)
    #expect(address.host == host)
    #expect(address.port == port)
    #expect(try NodeAddress(parsing: address.description) == address)
  }

  @Test(arguments: [
    "", ":7400", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:7x", "::1", "::1:7400", "[::1", "[::1]7400", "[]:1",
    "a b:1", "a:١",
    "redis://a:1", "a:99999999999999999999",
  ])
  func whatIsNoAddressIsRefused(text: String) {
    #expect(throws: NodeAddress.Malformed.self) { try NodeAddress(parsing: text) }
  }

  @Test func aListKeepsItsOrderAndDropsRepetitions() throws {
    let list = try NodeAddress.list(parsing: "b:1, a:2,b:1,[::1]:3")
    #expect(list.map(\.description) == ["b:1", "a:2", "[::1]:3"])
    #expect(throws: NodeAddress.Malformed.self) { try NodeAddress.list(parsing: "a:1,,b:2") }
    #expect(throws: NodeAddress.Malformed.self) { try NodeAddress.list(parsing: "") }
  }
}
