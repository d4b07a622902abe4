import Core
import Testing

@testable import Replication

@Suite struct RegistryTests {
  static let a = LinkID(1)
  static let b = LinkID(2)
  static let c = LinkID(3)
  var registry = Registry(config: Self.config(), now: at(0))

  static func config(_ change: (inout RegistryConfig) -> Void = { _ in }) -> RegistryConfig {
    var config = RegistryConfig(ownID: node(100))
    change(&config)
    return config
  }
  static func master(_ change: (inout MasterFacts) -> Void = { _ in }) -> MasterFacts {
    var facts = MasterFacts(
      address: place(7400), reign: reign(2), last: position(2, 1000), history: terms((1, 1), (2, 500)),
      lineage: node(9),
      hasData: true)
    change(&facts)
    return facts
  }
  static func request(_ n: UInt8, port: Int? = nil, _ change: (inout RegisterRequest) -> Void = { _ in })
    -> RegisterRequest
  {
    var request = RegisterRequest(
      id: node(n), address: place(port ?? 7400 + Int(n)), hasData: true, last: position(2, 900), lineage: node(9))
    change(&request)
    return request
  }
  static func plan(_ mode: RequestedSyncMode = .auto) -> PlanReport {
    SyncPlanner.plan(PlannerTests.input { $0.mode = mode })
  }

  func refusal(
    _ registry: inout Registry, _ link: LinkID, _ request: RegisterRequest, _ facts: MasterFacts = master(),
    now: Tick = at(10)
  ) -> ReplicationError.Code? {
    let before = registry.slaves
    let actions = registry.step(.register(link, request, facts), now: now)
    guard case .refuse(let refused, let error)? = actions.first else { return nil }
    let isNews = error.code == .staleTerm
    #expect(
      actions.dropFirst()
        == (isNews ? [.newerReignSeen(request.knownReign, from: request.id, at: request.address)] : []))
    #expect(refused == link && registry.slaves == before)
    return error.code
  }

  @Test func aSlaveKeepsTheRowAndForgetsWhoLeftIt() throws {
    var registry = registry
    func entry(_ n: UInt8, port: Int) -> SlaveList.Entry {
      SlaveList.Entry(
        id: node(n), address: place(port), state: .streaming, isVoter: true, durableLSN: LSN(5), appliedLSN: LSN(5))
    }
    let master = SlaveList.Master(id: node(50), address: place(7450), isVoter: true)
    let row = SlaveList(revision: 1, master: master, slaves: [entry(3, port: 7403), entry(100, port: 7500)])
    #expect(registry.step(.met(row), now: at(1)) == [.persist])
    #expect(registry.step(.met(row), now: at(2)) == [], "nothing new, nothing to write")
    let known = [
      KnownNode(id: node(3), address: place(7403), isVoter: true),
      KnownNode(id: node(50), address: place(7450), isVoter: true),
    ]
    #expect(registry.list.known(without: node(100)) == known)
    #expect(registry.pinnedLSN(now: at(2)) == nil && registry.countingAcks == [] && registry.slaveIDs == [])

    let restored = Registry(
      config: Self.config(), restored: try Registry.decode(registry.encoded(now: at(3))), now: at(4))
    #expect(restored.list.known(without: node(100)) == known, "also after a restart")

    // A slave of its own stays, with its hold on the log; who left the row is forgotten; who moved has moved.
    _ = registry.step(.register(Self.a, Self.request(7), Self.master()), now: at(5))
    let next = SlaveList(revision: 2, master: master, slaves: [entry(4, port: 7404)])
    #expect(registry.step(.met(next), now: at(6)) == [.persist])
    #expect(registry.slaves.map(\.id) == [node(4), node(7), node(50)])
    let moved = SlaveList(revision: 3, master: master, slaves: [entry(4, port: 7444)])
    #expect(registry.step(.met(moved), now: at(7)) == [.persist])
    #expect(registry.slave(node(4))?.address == place(7444))
  }

  @Test func aFormerMasterHoldsNoLogForWhoFollowsTheNewOne() {
    var registry = registry
    for (link, n) in [(Self.a, 1), (Self.b, 2), (Self.c, 3)] as [(LinkID, UInt8)] {
      _ = registry.step(.register(link, Self.request(n), Self.master()), now: at(1))
      _ = registry.step(.planned(link, Self.plan(), pinFrom: LSN(901)), now: at(1))
      _ = registry.step(.linkClosed(link), now: at(2))
    }
    func entry(_ n: UInt8, _ state: SlaveList.State) -> SlaveList.Entry {
      SlaveList.Entry(id: node(n), address: place(7400), state: state, durableLSN: LSN(5), appliedLSN: LSN(5))
    }
    // Node 1 is the master now, 2 follows it, 3 is away from it, too: nobody else may hold the log for it.
    let row = SlaveList(
      revision: 1, master: SlaveList.Master(id: node(1), address: place(7401)),
      slaves: [entry(2, .streaming), entry(3, .disconnected)])
    #expect(registry.step(.met(row), now: at(3)) == [.persist])
    #expect(registry.slaves.filter { $0.pin != nil }.map(\.id) == [node(3)])
    #expect(registry.holdsForAbsent(now: at(4)))
  }

  @Test func aFinishedSyncIsKeptOverReconnectionsAndRatiosAddUp() {
    var registry = registry
    _ = registry.step(.register(Self.a, Self.request(1), Self.master()), now: at(5))
    let record = SyncRecord(mode: .delta, estimatedBytes: 1000, bytes: 1100, seconds: 0.4)
    #expect(registry.step(.synced(Self.a, record, LinkRatios(log: 0.5, delta: 0.25)), now: at(6)) == [])
    _ = registry.step(.proved(Self.a, .log), now: at(6))
    _ = registry.step(.linkClosed(Self.a), now: at(7))
    #expect(registry.step(.synced(Self.a, record, LinkRatios(log: 0.1)), now: at(7)) == [])  // of a link that is gone
    _ = registry.step(.register(LinkID(9), Self.request(1), Self.master()), now: at(8))
    #expect(registry.slave(node(1))?.lastSync == record)
    _ = registry.step(.synced(LinkID(9), record, LinkRatios(log: 0.75)), now: at(9))
    #expect(registry.slave(node(1))?.ratios == LinkRatios(log: 0.75, delta: 0.25))
    #expect(record.line == "delta, 1.1 KB sent, 1.0 KB estimated, 0.4 s")
  }

  /// A cut full sync's bytes are none of a delta's: an ack that names them would be believed.
  @Test func aDeltaBeginsWithTheSlavesLSNAndNoBytes() {
    var registry = registry
    _ = registry.step(.register(Self.a, Self.request(1), Self.master()), now: at(5))
    let plan = SyncPlanner.plan(
      PlannerTests.input {
        $0.mode = .delta
        $0.delta = .init(liveBytes: 10, liveRecords: 1, tombstonesFrom: LSN(1))
        $0.resume = ResumeState(snapshot: SnapshotID(7), files: [.init(number: 1, bytes: 60_000_000)])
      })
    #expect(plan.mode == .delta)
    _ = registry.step(.planned(Self.a, plan, pinFrom: plan.startLSN), now: at(6))
    #expect(registry.slave(node(1))?.sentLSN == LSN(900) && registry.slave(node(1))?.sentFileBytes == 0)
    #expect(registry.slave(node(1))?.pin?.fromLSN == LSN(901))
  }

  @Test func aSlaveIsRegisteredPersistedAnsweredAndAnnounced() {
    var registry = registry
    let actions = registry.step(
      .register(Self.a, Self.request(1), Self.master { $0.upstream = [node(50)] }), now: at(5))
    let list = SlaveList(
      revision: 1, master: .init(id: node(100), address: place(7400)),
      slaves: [])
    #expect(
      actions == [
        .persist,
        .reply(
          Self.a,
          RegisterReply(
            id: node(100), address: place(7400), reign: reign(2), last: position(2, 1000),
            history: terms((1, 1), (2, 500)),
            lineage: node(9), hasData: true, capabilities: .all, upstream: [node(50)],
            slaves: [.init(id: node(1), address: place(7401))])),
        // Others are told of it when it has shown what it holds.
        .broadcastSlaveList(list),
      ])
  }

  @Test func refusalsAreNamed() {
    var registry = registry
    _ = registry.step(.register(Self.a, Self.request(1), Self.master()), now: at(5))
    #expect(refusal(&registry, Self.b, Self.request(100)) == .selfRegister)
    #expect(refusal(&registry, Self.b, Self.request(2, port: 7400)) == .selfRegister)
    #expect(refusal(&registry, Self.b, Self.request(2) { $0.chain = [node(3), node(100)] }) == .cycle)
    #expect(refusal(&registry, Self.b, Self.request(2), Self.master { $0.upstream = [node(40), node(2)] }) == .cycle)
    #expect(
      refusal(&registry, Self.b, Self.request(2) { $0.chain = [node(40)] }, Self.master { $0.upstream = [node(40)] })
        == .cycle)
    #expect(refusal(&registry, Self.b, Self.request(2), Self.master { $0.hasData = false }) == .dataLoss)
    #expect(refusal(&registry, Self.a, Self.request(2)) == .duplicateID)  // one connection, two ids
    #expect(
      refusal(&registry, Self.b, Self.request(2) { $0.acceptDataLoss = true }, Self.master { $0.hasData = false })
        == nil)
  }

  @Test func twoHellosWithOneID() {
    var registry = registry
    _ = registry.step(.register(Self.a, Self.request(1), Self.master()), now: at(0))
    // Another address while the old one is heard of: a copied data directory.
    #expect(refusal(&registry, Self.b, Self.request(1, port: 9999), now: at(29_999)) == .duplicateID)
    // The same address: it reconnected.
    let taken = registry.step(.register(Self.b, Self.request(1), Self.master()), now: at(29_999))
    #expect(
      taken.first
        == .disconnect(Self.a, ReplicationError(.replaced, "slave \(node(1)) registered on another connection")))
    #expect(registry.slave(on: Self.b)?.id == node(1) && registry.slave(on: Self.a) == nil)
    // The old link's end does not touch the new one.
    #expect(registry.step(.linkClosed(Self.a), now: at(30_000)) == [])
    // Another address after silence: the slave moved.
    #expect(refusal(&registry, LinkID(3), Self.request(1, port: 9999), now: at(60_000)) == nil)
    #expect(registry.slave(node(1))?.address == place(9999))
  }

  @Test func theNumberOfConnectedSlavesIsBoundedAndTheListToo() {
    var registry = Registry(config: Self.config { $0.slavesMax = 2 }, now: at(0))
    for n in UInt8(1)...2 { #expect(refusal(&registry, LinkID(UInt64(n)), Self.request(n)) == nil) }
    #expect(refusal(&registry, LinkID(9), Self.request(9)) == .maxSlaves)
    _ = registry.step(.linkClosed(LinkID(1)), now: at(20))
    #expect(refusal(&registry, LinkID(9), Self.request(9)) == nil)
    for n in UInt8(10)...40 {
      _ = registry.step(.linkClosed(registry.slaves.compactMap(\.state.link).max()!), now: at(UInt64(n)))
      #expect(refusal(&registry, LinkID(UInt64(n)), Self.request(n)) == nil)
    }
    #expect(registry.slaves.count == 2, "who only registered is forgotten with its connection")
    for n in UInt8(50)...80 {
      _ = registry.step(.linkClosed(registry.slaves.compactMap(\.state.link).max()!), now: at(UInt64(n)))
      #expect(refusal(&registry, LinkID(UInt64(n)), Self.request(n)) == nil)
      _ = registry.step(.proved(LinkID(UInt64(n)), .log), now: at(UInt64(n)))
    }
    #expect(registry.slaves.count == 8)
    #expect(registry.slaves.map(\.id) == registry.slaves.map(\.id).sorted())
  }

  @Test func syncNeedsARegistration() {
    var registry = registry
    let actions = registry.step(.planned(Self.a, Self.plan(), pinFrom: LSN(901)), now: at(0))
    guard case .refuse(_, let error)? = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(error.code == .notRegistered)
  }

  func streaming(
    _ registry: inout Registry, _ link: LinkID, _ n: UInt8, hasShown: Bool = true, now: Tick = at(0)
  ) {
    _ = registry.step(.register(link, Self.request(n), Self.master()), now: now)
    _ = registry.step(.planned(link, Self.plan(), pinFrom: LSN(901)), now: now)
    _ = registry.step(.sent(link, upTo: LSN(1000), fileBytes: 0), now: now)
    _ = registry.step(.streaming(link), now: now)
    if hasShown { _ = registry.step(.proved(link, .log), now: now) }
  }

  @Test func anAckBeyondWhatWasSentEndsTheLinkAndCountsNothing() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    #expect(registry.step(.acked(Self.a, Ack(durableLSN: LSN(950), appliedLSN: LSN(940))), now: at(1)) == [])
    let actions = registry.step(.acked(Self.a, Ack(durableLSN: LSN(1001), appliedLSN: LSN(940))), now: at(2))
    guard case .disconnect(Self.a, let error)? = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(error.code == .badAck)
    #expect(registry.slave(node(1))?.ack.durableLSN == LSN(950) && registry.countingAcks.isEmpty)
  }

  @Test(arguments: [
    Ack(durableLSN: LSN(949), appliedLSN: LSN(940)), Ack(durableLSN: LSN(950), appliedLSN: LSN(939)),
    Ack(durableLSN: LSN(950), appliedLSN: LSN(940), fileBytes: 1), Ack(durableLSN: LSN(.max), appliedLSN: LSN(940)),
  ]) func anAckThatGoesBackOrTooFarIsBad(ack: Ack) {
    var registry = registry
    streaming(&registry, Self.a, 1)
    _ = registry.step(.acked(Self.a, Ack(durableLSN: LSN(950), appliedLSN: LSN(940))), now: at(1))
    guard case .disconnect(_, let error)? = registry.step(.acked(Self.a, ack), now: at(2)).first else {
      Issue.record("accepted")
      return
    }
    #expect(error.code == .badAck)
  }

  @Test func inAFullSyncNothingCountsBeforeTheFilesAndTheBarrierArePassed() {
    var registry = registry
    _ = registry.step(.register(Self.a, Self.request(1), Self.master()), now: at(0))
    _ = registry.step(.planned(Self.a, Self.plan(.full), pinFrom: LSN(901)), now: at(0))
    _ = registry.step(.sent(Self.a, upTo: LSN(1000), fileBytes: 100_000_000), now: at(0))
    _ = registry.step(.streaming(Self.a), now: at(0))
    #expect(
      registry.step(.acked(Self.a, Ack(durableLSN: LSN(1000), appliedLSN: .none, fileBytes: 100_000_000)), now: at(1))
        == [])
    #expect(registry.countingAcks.isEmpty)
    #expect(
      registry.step(
        .acked(Self.a, Ack(durableLSN: LSN(1000), appliedLSN: LSN(1000), fileBytes: 100_000_000)), now: at(1)) == [])
    #expect(registry.countingAcks.isEmpty, "it has shown nothing yet")
    let shown = registry.step(.proved(Self.a, .log), now: at(1))
    #expect(shown == [.persist, .broadcastSlaveList(registry.list)], "from now on it belongs to the row")
    #expect(registry.step(.proved(Self.a, .log), now: at(1)) == [])
    #expect(registry.countingAcks == [SlaveAck(id: node(1), durableLSN: LSN(1000))])
    // And a full sync's slave may not claim its old LSNs before anything was sent.
    _ = registry.step(.register(Self.b, Self.request(2), Self.master()), now: at(0))
    _ = registry.step(.planned(Self.b, Self.plan(.full), pinFrom: LSN(901)), now: at(0))
    guard
      case .disconnect? = registry.step(.acked(Self.b, Ack(durableLSN: LSN(900), appliedLSN: .none)), now: at(2)).first
    else {
      Issue.record("accepted")
      return
    }
  }

  @Test func theLowestPinHoldsTheLogUntilItsLeaseEnds() {
    var registry = registry
    let lease = registry.config.leaseMilliseconds
    streaming(&registry, Self.a, 1)
    streaming(&registry, Self.b, 2)
    #expect(registry.pinnedLSN(now: at(0)) == LSN(901))
    _ = registry.step(.acked(Self.a, Ack(durableLSN: LSN(950), appliedLSN: LSN(940))), now: at(1))
    _ = registry.step(.acked(Self.b, Ack(durableLSN: LSN(1000), appliedLSN: LSN(1000))), now: at(1))
    #expect(registry.pinnedLSN(now: at(1)) == LSN(951))
    #expect(!registry.holdsForAbsent(now: at(1)))
    _ = registry.step(.linkClosed(Self.a), now: at(100))
    #expect(registry.pinnedLSN(now: at(100 + lease - 1)) == LSN(951))
    #expect(registry.holdsForAbsent(now: at(100 + lease - 1)))
    #expect(registry.pinnedLSN(now: at(100 + lease)) == LSN(1001))
    #expect(!registry.holdsForAbsent(now: at(100 + lease)))
    let actions = registry.step(.leaseTick, now: at(100 + lease))
    #expect(actions.first == .persist)
    guard case .pinReleased(let id, let pin, let error)? = actions.last else {
      Issue.record("\(actions)")
      return
    }
    #expect(id == node(1) && pin.fromLSN == LSN(951) && error.code == .pinLost)
    #expect(registry.step(.leaseTick, now: at(101 + lease)) == [])
  }

  @Test func aPinBeyondItsByteBudgetIsReleased() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    let budget = registry.config.pinBytesMax
    #expect(registry.step(.measured(node(1), lagBytes: budget), now: at(1)) == [])
    let actions = registry.step(.measured(node(1), lagBytes: budget + 1), now: at(1))
    #expect(actions.count == 2 && registry.pinnedLSN(now: at(1)) == nil)
  }

  @Test func logThatCannotBeReadIsHeldForNobody() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    streaming(&registry, Self.b, 2)
    _ = registry.step(.acked(Self.b, Ack(durableLSN: LSN(1000), appliedLSN: LSN(1000))), now: at(1))
    #expect(registry.pinnedLSN(now: at(1)) == LSN(901))
    let actions = registry.step(.unreadable(Self.a, "damaged"), now: at(1))
    guard actions.count == 2, actions.first == .persist, case .pinReleased(let id, let pin, _)? = actions.last else {
      Issue.record("\(actions)")
      return
    }
    #expect(id == node(1) && pin.fromLSN == LSN(901))
    #expect(registry.pinnedLSN(now: at(1)) == LSN(1001))
    // Nothing more is let go, and no lease brings it back.
    #expect(registry.step(.unreadable(Self.a, "damaged"), now: at(2)) == [])
    _ = registry.step(.linkClosed(Self.a), now: at(3))
    #expect(registry.pinnedLSN(now: at(3)) == LSN(1001))
  }

  @Test func movedPinsArePersistedNowAndThen() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    _ = registry.step(.acked(Self.a, Ack(durableLSN: LSN(950), appliedLSN: LSN(940))), now: at(1))
    #expect(registry.step(.leaseTick, now: at(9_999)) == [])
    #expect(registry.step(.leaseTick, now: at(10_000)) == [.persist])
    #expect(registry.step(.leaseTick, now: at(30_000)) == [])
  }

  @Test func lagIsThreeNumbers() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    #expect(registry.slave(node(1))?.lag(masterLast: LSN(1000), masterClock: wall(5000)).milliseconds == nil)
    _ = registry.step(
      .acked(Self.a, Ack(durableLSN: LSN(950), appliedLSN: LSN(940), appliedClock: wall(4000))), now: at(1))
    _ = registry.step(.measured(node(1), lagBytes: 6000), now: at(1))
    let slave = registry.slave(node(1))
    #expect(
      slave?.lag(masterLast: LSN(1000), masterClock: wall(5000)) == Lag(records: 60, bytes: 6000, milliseconds: 1000))
    #expect(slave?.lag(masterLast: LSN(940), masterClock: wall(5000)) == Lag(records: 0, bytes: 0, milliseconds: 0))
  }

  @Test func aRemovedSlaveIsToldAndForgotten() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    let actions = registry.step(.unregister(node(1)), now: at(1))
    #expect(actions.count == 4 && actions.first == .persist && registry.slaves.isEmpty)
    #expect(registry.step(.unregister(node(1)), now: at(1)) == [])
  }

  @Test func aRingThatClosesLaterIsOpened() {
    var registry = registry
    streaming(&registry, Self.a, 1)
    #expect(registry.step(.upstreamChanged([node(7)]), now: at(1)) == [])
    let actions = registry.step(.upstreamChanged([node(7), node(1)]), now: at(1))
    guard case .disconnect(Self.a, let error)? = actions.dropFirst().first else {
      Issue.record("\(actions)")
      return
    }
    #expect(error.code == .cycle)
  }

  @Test func aRestartedMasterStillKnowsItsSlavesAndTheirPins() throws {
    var registry = registry
    streaming(&registry, Self.a, 1)
    streaming(&registry, Self.b, 2)
    _ = registry.step(.linkClosed(Self.b), now: at(1000))
    let bytes = registry.encoded(now: at(61_000))
    let again = Registry(config: Self.config(), restored: try Registry.decode(bytes), now: at(5))
    #expect(again.slaves.map(\.id) == [node(1), node(2)])
    #expect(again.slaves.map(\.address) == [place(7401), place(7402)])
    #expect(again.slaves.map { $0.pin?.fromLSN } == [LSN(901), LSN(901)])
    let lease = registry.config.leaseMilliseconds
    #expect(again.slaves.map { $0.pin?.leaseExpiry } == [at(5 + lease), at(5 + lease - 60_000)])
    #expect(again.slaves.allSatisfy { $0.state.link == nil })
  }

  @Test func aDamagedRegistryIsSaidToBeDamaged() throws {
    var registry = registry
    streaming(&registry, Self.a, 1)
    let bytes = registry.encoded(now: at(0))
    for index in bytes.indices {
      var bad = bytes
      bad[index] ^= 1
      #expect(throws: RegistryFileError.self) { try Registry.decode(bad) }
    }
    for end in 0..<bytes.count {
      #expect(throws: RegistryFileError.self) { try Registry.decode(Array(bytes[0..<end])) }
    }
    let empty = try Registry.decode(Registry(config: Self.config(), now: at(0)).encoded(now: at(0)))
    #expect(empty.isEmpty)
  }

  @Test func aSlaveOfANewerTermIsRefusedAndTheTermIsReported() {
    var registry = registry
    #expect(refusal(&registry, Self.a, Self.request(1) { $0.knownReign = reign(3) }) == .staleTerm)
    #expect(refusal(&registry, Self.a, Self.request(1) { $0.knownReign = reign(2) }) == nil)
    // Of two masters of one term the one with the larger id counts; a term that was only voted in has none.
    #expect(refusal(&registry, Self.a, Self.request(1) { $0.knownReign = reign(2, of: 9) }) == .staleTerm)
    #expect(refusal(&registry, Self.a, Self.request(1) { $0.knownReign = reign(2, of: 0) }) == nil)
    #expect(refusal(&registry, Self.a, Self.request(1) { $0.knownReign = unowned(2) }) == nil)
    // Terms of another data set do not compare.
    #expect(
      refusal(
        &registry, Self.b,
        Self.request(2) {
          $0.knownReign = reign(3)
          $0.lineage = node(8)
        }) == nil)
    #expect(
      refusal(
        &registry, LinkID(3),
        Self.request(3) {
          $0.knownReign = reign(3)
          $0.lineage = nil
        }) == nil)
  }

  @Test func votersAreKnownToEveryoneAndKeptOverARestart() throws {
    var registry = registry
    _ = registry.step(
      .register(Self.a, Self.request(1) { $0.isVoter = true }, Self.master { $0.isVoter = true }), now: at(0))
    _ = registry.step(.register(Self.b, Self.request(2), Self.master { $0.isVoter = true }), now: at(0))
    #expect(registry.list.master == .init(id: node(100), address: place(7400), isVoter: true))
    #expect(registry.list.slaves.isEmpty, "they have shown nothing yet")
    streaming(&registry, Self.b, 2, hasShown: false)
    _ = registry.step(.planned(Self.a, Self.plan(), pinFrom: LSN(901)), now: at(0))
    _ = registry.step(.streaming(Self.a), now: at(0))
    #expect(registry.countingAcks == [])
    _ = registry.step(.proved(Self.a, .data), now: at(0))
    _ = registry.step(.proved(Self.b, .log), now: at(0))
    #expect(registry.countingAcks.map(\.id) == [node(1), node(2)])
    #expect(registry.list.slaves.map(\.isVoter) == [true, false])
    #expect(
      registry.voterFacts.map(\.hasShownData) == [true, false]
        && registry.voterFacts.map(\.wantsToVote) == [true, false])
    let again = Registry(config: Self.config(), restored: try Registry.decode(registry.encoded(now: at(1))), now: at(5))
    #expect(again.slaves.map(\.isVoter) == [true, false])
    #expect(again.voterFacts.allSatisfy { !$0.isCounting && !$0.hasShownData })
  }

  /// Byte for byte as version 1 wrote it: slave 1 at 10.0.0.1:7401 with everything that could be said then.
  @Test func aRegistryOfVersion1IsStillRead() throws {
    var body: [UInt8] = [1] + [3, 0, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0]
    body += [UInt8](repeating: 1, count: 20) + [8, 0] + Array("10.0.0.1".utf8) + [0xE9, 0x1C] + [15]
    body += [7, 0, 0, 0, 0, 0, 0, 0] + [1] + [8, 0, 0, 0, 0, 0, 0, 0] + [100, 0, 0, 0, 0, 0, 0, 0]
    var bytes = [UInt8](repeating: 0, count: 8) + body
    put32(0x4752_4C50, at: 0, &bytes)
    put32(CRC32C.checksum(body), at: 4, &bytes)
    #expect(
      try Registry.decode(bytes) == [
        RegistryRecord(
          id: node(1), address: place(7401), capabilities: Capabilities(rawValue: 15), durableLSN: LSN(7),
          pin: Pin(fromLSN: LSN(8)), leaseMillisecondsLeft: 100)
      ])
  }
}
