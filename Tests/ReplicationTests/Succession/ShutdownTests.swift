import Core
import Testing

@testable import Replication

/// A node ends when its slaves hold the end of its log, or when the time is over.
@Suite struct ShutdownTests {
  private let first = NodeID(random: (1...20).map { UInt8($0) })
  private let second = NodeID(random: (2...21).map { UInt8($0) })
  private let address = NodeAddress(host: "127.0.0.1", port: 7401)!
  private let order = ShutdownOrder(timeoutMilliseconds: 10_000)

  private func slave(_ id: NodeID, _ durable: UInt64, applied: UInt64? = nil) -> ConnectedSlave {
    ConnectedSlave(id: id, address: address, durableLSN: LSN(durable), appliedLSN: LSN(applied ?? durable))
  }
  private func goal(_ last: UInt64, shown: UInt64? = nil) -> ShutdownGoal {
    ShutdownGoal(last: LSN(last), shown: LSN(shown ?? last))
  }
  private func master(_ last: UInt64, _ slaves: ConnectedSlave..., handsOver: Bool = false) -> ShutdownFacts {
    ShutdownFacts(isMaster: true, isHandingOver: handsOver, goal: goal(last), slaves: slaves)
  }
  private func at(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }
  private func report(_ id: NodeID, _ durable: UInt64, missing: UInt64, connected: Bool = true) -> ShutdownSlave {
    ShutdownSlave(
      id: id, address: address, durableLSN: LSN(durable), missingRecords: missing, isConnected: connected)
  }

  @Test func writesPauseBeforeAnythingIsLookedAt() {
    var machine = Shutdown()
    #expect(machine.step(.ordered(order), now: at(0)) == [.pauseWrites])
    #expect(machine.state == .waiting(until: at(10_000)))
    #expect(machine.millisecondsLeft(now: at(4000)) == 6000)
  }

  @Test func endsWhenTheLastSlaveHasTheEndOfTheLog() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50, slave(first, 50), slave(second, 49))), now: at(1)) == [])
    #expect(
      machine.step(.looked(master(50, slave(first, 50), slave(second, 50))), now: at(2))
        == [.end([report(first, 50, missing: 0), report(second, 50, missing: 0)])])
    #expect(machine.state == .ending)
  }

  @Test func whatIsShownHereIsShownThere() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    let facts = ShutdownFacts(isMaster: true, goal: goal(50, shown: 45), slaves: [slave(first, 50, applied: 44)])
    #expect(machine.step(.looked(facts), now: at(1)) == [])
    // What waits for its commit level here is shown nowhere.
    let later = ShutdownFacts(isMaster: true, goal: goal(50, shown: 45), slaves: [slave(first, 50, applied: 45)])
    #expect(machine.step(.looked(later), now: at(2)) == [.end([report(first, 50, missing: 0)])])
  }

  @Test func aMasterWaitsAlsoForWhatIsAppendedMeanwhile() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50, slave(first, 49))), now: at(1)) == [])
    #expect(machine.step(.looked(master(51, slave(first, 50))), now: at(2)) == [])
    #expect(machine.step(.looked(master(51, slave(first, 51))), now: at(3)).count == 1)
  }

  @Test func aSlaveWaitsForTheLogThatItHadAtTheOrder() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    let early = ShutdownFacts(isMaster: false, goal: goal(50), slaves: [slave(first, 40)])
    let late = ShutdownFacts(isMaster: false, goal: goal(90), slaves: [slave(first, 50)])
    #expect(machine.step(.looked(early), now: at(1)) == [])
    #expect(machine.step(.looked(late), now: at(2)) == [.end([report(first, 50, missing: 0)])])
  }

  @Test func theTimeIsBounded() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50, slave(first, 8))), now: at(9_999)) == [])
    #expect(
      machine.step(.looked(master(50, slave(first, 8))), now: at(10_000)) == [.end([report(first, 8, missing: 42)])])
  }

  @Test func aSlaveThatLeavesMeanwhileIsNotWaitedForAndIsNamed() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50, slave(first, 8))), now: at(1)) == [])
    #expect(
      machine.step(.looked(master(50)), now: at(2)) == [.end([report(first, 8, missing: 42, connected: false)])])
  }

  @Test func withoutSlavesTheFirstLookIsTheLast() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50)), now: at(0)) == [.end([])])
  }

  @Test(arguments: [
    ShutdownOrder(timeoutMilliseconds: 0), ShutdownOrder(isNow: true, timeoutMilliseconds: 10_000),
  ])
  func nothingIsWaitedFor(order: ShutdownOrder) {
    var machine = Shutdown()
    #expect(machine.step(.ordered(order), now: at(0)) == [.end([])])
  }

  @Test func nowEndsAWaitAndAFurtherOrderChangesNothing() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.ordered(order), now: at(5000)) == [])
    #expect(machine.state == .waiting(until: at(10_000)))
    #expect(machine.step(.ordered(ShutdownOrder(isNow: true, timeoutMilliseconds: 10_000)), now: at(6000)).count == 1)
    #expect(machine.step(.ordered(order), now: at(6001)) == [])
  }

  @Test func anAbortLetsWritesGoOnAndTheNextOrderBeginsAnew() {
    var machine = Shutdown()
    #expect(machine.step(.abort, now: at(0)) == [])
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.abort, now: at(1)) == [.resumeWrites])
    #expect(machine.step(.looked(master(50, slave(first, 8))), now: at(20_000)) == [])
    #expect(machine.state == .running)
    #expect(machine.step(.ordered(order), now: at(30_000)) == [.pauseWrites])
    #expect(machine.state == .waiting(until: at(40_000)))
  }

  @Test func aHandoverMayEndFirst() {
    var machine = Shutdown()
    _ = machine.step(.ordered(order), now: at(0))
    #expect(machine.step(.looked(master(50, slave(first, 50), handsOver: true)), now: at(1)) == [])
    let follows = ShutdownFacts(isMaster: false, goal: goal(50), slaves: [])
    #expect(
      machine.step(.looked(follows), now: at(2)) == [.end([report(first, 50, missing: 0, connected: false)])])
  }

  @Test func nothingStopsAnEnd() {
    var machine = Shutdown()
    _ = machine.step(.ordered(ShutdownOrder(timeoutMilliseconds: 0)), now: at(0))
    #expect(machine.step(.abort, now: at(1)) == [])
    #expect(machine.state == .ending)
  }
}
