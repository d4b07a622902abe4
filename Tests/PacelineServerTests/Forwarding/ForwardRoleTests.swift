import RESP
import Replication
import Testing

@testable import PacelineServer

/// What a node that refused a write says when it is asked for its role.
struct ForwardRoleTests {
  private func bulk(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }

  @Test func `a slave names its master`() {
    let reply = RESPValue.array([bulk("slave"), bulk("10.0.0.7"), .integer(7401), bulk("connected"), .integer(5)])
    #expect(ForwardRole(reply) == .slave(of: NodeAddress(host: "10.0.0.7", port: 7401)))
  }

  @Test func `an address that cannot be is none`() {
    let reply = RESPValue.array([bulk("slave"), bulk("10.0.0.7"), .integer(70_000), bulk("connected"), .integer(5)])
    #expect(ForwardRole(reply) == .slave(of: nil))
  }

  @Test func `a master is one`() {
    #expect(ForwardRole(.array([bulk("master"), .integer(5), .array([])])) == .master)
  }

  @Test(arguments: [
    RESPValue.null, .array([]), .array([.integer(1)]), .simple("slave"), .array([.simple("slave")]),
    .array([.simple("sentinel"), .array([])]), .error(.init("NOAUTH x")),
  ])
  func `another reply says nothing`(reply: RESPValue) { #expect(ForwardRole(reply) == nil) }
}
