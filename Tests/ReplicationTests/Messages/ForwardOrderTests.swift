import Core
import Testing

@testable import Replication

@Suite struct ForwardOrderTests {
  private let node = NodeID(random: Array(repeating: 7, count: NodeID.byteCount))

  @Test func itReadsWhatItWrites() throws {
    let order = ForwardOrder(node: node)
    #expect(order.arguments == ["2", "id", node.description])
    #expect(try ForwardOrder(parsing: order.arguments) == order)
  }

  @Test func aNewerNodeMayAddFields() throws {
    #expect(try ForwardOrder(parsing: ["2", "later", "x", "id", node.description]).node == node)
  }

  @Test(arguments: [[], ["2"], ["3", "id", "x"], ["2", "id", "nobody"], ["2", "id"]])
  func otherArgumentsAreRefused(arguments: [String]) {
    #expect(throws: ReplicationError.self) { try ForwardOrder(parsing: arguments) }
  }
}
