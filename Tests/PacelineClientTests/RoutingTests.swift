import PacelineClient
import Testing

@Suite struct RoutingTests {
  let a = NodeAddress(host: "a", port: 1)
  let b = NodeAddress(host: "b", port: 1)
  let m = NodeAddress(host: "m", port: 1)

  @Test func slavesTakeTurnsAndTheMasterComesLast() {
    var router = ReadRouter()
    #expect(router.order(slaves: [a, b], master: m, now: .zero) == [a, b, m])
    #expect(router.order(slaves: [a, b], master: m, now: .zero) == [b, a, m])
    #expect(router.order(slaves: [a, b], master: nil, now: .zero) == [a, b])
    #expect(router.order(slaves: [], master: m, now: .zero) == [m])
    #expect(router.order(slaves: [], master: nil, now: .zero) == [])
  }

  @Test func aFailedNodeIsPassedOverForAWhile() {
    var router = ReadRouter(retryAfter: .seconds(1))
    router.failed(a, now: .seconds(10))
    #expect(router.order(slaves: [a, b], master: m, now: .seconds(10.5)) == [b, m, a])
    #expect(router.order(slaves: [a, b], master: m, now: .seconds(11)) == [b, a, m])
    router.failed(a, now: .seconds(20))
    router.succeeded(a)
    #expect(router.order(slaves: [a, b], master: m, now: .seconds(20)) == [a, b, m])
  }

  @Test func rolesAreRead() {
    let slave = RESPValue.array([.bulk(Array("127.0.0.1".utf8)), .bulk(Array("7401".utf8)), .bulk(Array("5".utf8))])
    let master = NodeRole(.array([.bulk(Array("master".utf8)), .integer(5), .array([slave])]))
    #expect(master == .master(slaves: [NodeAddress(host: "127.0.0.1", port: 7401)]))
    let reply = RESPValue.array([.simple("slave"), .simple("m"), .integer(1), .simple("connected"), .integer(5)])
    #expect(NodeRole(reply) == .slave(of: m, linkState: "connected"))
    #expect(NodeRole(.array([.simple("slave")])) == .slave(of: nil, linkState: ""))
    #expect(NodeRole(.array([.simple("sentinel")])) == .other("sentinel"))
    #expect(NodeRole(.array([])) == nil)
    #expect(NodeRole(.integer(1)) == nil)
  }
}
