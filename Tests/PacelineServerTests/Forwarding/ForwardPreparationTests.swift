import Commands
import Core
import RESP
import Replication
import Testing

@testable import PacelineServer

/// What a connection to the master is told, and what its answers mean.
struct ForwardPreparationTests {
  private let node = NodeID(random: Array(repeating: 7, count: NodeID.byteCount))
  private let unknownCommand = RESPValue.ServerError("ERR unknown command 'MS_FORWARD'")

  private func connection() throws -> ForwardConnection {
    let address = try #require(NodeAddress(host: "10.0.0.1", port: 7400))
    return ForwardConnection(address, followed: address, owner: nil, now: Tick(milliseconds: 0))
  }

  private func commands(_ preparation: ForwardPreparation) -> [[String]] {
    var decoder = ReplyDecoder()
    var found: [[String]] = []
    var rest = Array(preparation.request.readableBytesView)[...]
    while let (value, byteCount) = rest.withUnsafeBytes({ try? decoder.next($0) }) {
      found.append(value.elements?.compactMap(\.string) ?? [])
      rest = rest.dropFirst(byteCount)
    }
    return found
  }

  @Test func `a new connection gives the password and says whose it is`() throws {
    let preparation = ForwardPreparation(
      try connection(), Session(id: 1, authenticated: true), node: node, password: "secret")
    #expect(
      commands(preparation) == [
        ["AUTH", "secret"], ["HELLO", "2"], ["MS_FORWARD", "2", "id", node.description],
        ["CLIENT", "SETINFO", "LIB-NAME", "paceline-forward"],
      ])
  }

  @Test func `a connection that knows the session is told nothing`() throws {
    let connection = try connection()
    connection.isGreeted = true
    let preparation = ForwardPreparation(
      connection, Session(id: 1, authenticated: true), node: node, password: "secret")
    #expect(preparation.isEmpty)
  }

  @Test func `a node of an older version is taken as it is`() throws {
    var preparation = ForwardPreparation(
      try connection(), Session(id: 1, authenticated: true), node: node, password: nil)
    #expect(preparation.answered(nil) == .waits)
    #expect(preparation.answered(unknownCommand) == .waits)
    #expect(preparation.answered(nil) == .done)
  }

  @Test func `a wrong password ends it and a needless one does not`() throws {
    let first = ForwardPreparation(
      try connection(), Session(id: 1, authenticated: true), node: node, password: "secret")
    var wrong = first
    #expect(wrong.answered(.init("WRONGPASS no")) == .refused("WRONGPASS no"))
    var needless = first
    #expect(needless.answered(.init("ERR AUTH <password> called without any password configured")) == .waits)
  }

  @Test func `a session that the master does not take ends it`() throws {
    let connection = try connection()
    connection.isGreeted = true
    let session = Session(id: 1, authenticated: true)
    session.database = 9
    var preparation = ForwardPreparation(connection, session, node: node, password: nil)
    #expect(commands(preparation) == [["SELECT", "9"]])
    #expect(preparation.answered(.init("ERR DB index is out of range")) == .refused("ERR DB index is out of range"))
  }
}
