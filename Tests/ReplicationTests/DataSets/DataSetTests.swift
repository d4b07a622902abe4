import Core
import Testing

@testable import Replication

/// Which data set a node gives up, and when a master doubts its own.
@Suite struct DataSetTests {
  static let own = node(8)
  static let masters = node(9)

  /// An applier that holds `own` and is told what the master at the other end holds.
  private func meets(
    _ reason: FollowReason, _ change: (inout RegisterReply) -> Void = { _ in },
    facts: LocalFacts = ApplierTests.facts { $0.lineage = own }
  ) -> (applier: Applier, actions: [ApplierAction]) {
    var applier = Applier()
    _ = applier.step(.attach(place(7400), reason), now: at(0))
    _ = applier.step(.connected(facts), now: at(0))
    let actions = applier.step(.registerReply(ApplierTests.master(change)), now: at(1))
    return (applier, actions)
  }

  @Test func noDataSetIsGivenUpBecauseTheMasterChanged() {
    let (applier, actions) = meets(.configured)
    #expect(applier.lastError?.code == .otherDataSet && applier.refusedLineage == Self.masters)
    #expect(!actions.contains { if case .sendSync = $0 { true } else { false } })
    let text = applier.lastError?.description ?? ""
    #expect(text.contains(Self.own.description) && text.contains(Self.masters.description))
    #expect(text.contains("REPLICAOF 10.0.0.1 7400") && text.contains("--accept-data-loss"))
    // Nothing but beginnings of terms, or nothing at all, is no data.
    let empty = ApplierTests.facts {
      ($0.lineage, $0.history, $0.durableLSN, $0.appliedLSN) = (nil, TermHistory(), .none, .none)
    }
    #expect(meets(.configured, facts: empty).applier.lastError == nil)
    #expect(meets(.configured, { $0.lineage = Self.own }).applier.lastError == nil)
  }

  @Test func anOrderOrTheSwitchGivesItUp() {
    let (applier, actions) = meets(.ordered)
    #expect(applier.lastError == nil && applier.order == .dataSet(Self.masters))
    #expect(actions.first == .noteOrder(Self.masters), "written down before anything is asked for")
    #expect(actions.contains { if case .sendSync = $0 { true } else { false } })
    let accepted = ApplierTests.facts { ($0.lineage, $0.acceptDataLoss) = (Self.own, true) }
    #expect(meets(.configured, facts: accepted).applier.lastError == nil)
    // An empty master is refused as before, and binds no order.
    let other = meets(.ordered, { $0.hasData = false })
    #expect(other.applier.lastError?.code == .dataLoss && other.applier.order == .anything)
  }

  @Test func anOrderHoldsOverRetriesForTheDataSetThatAnsweredFirstOnly() {
    var (applier, _) = meets(.ordered)
    var now: UInt64 = 0
    func again(_ lineage: NodeID, _ facts: LocalFacts) -> ReplicationError.Code? {
      now += 40_000
      _ = applier.step(.linkLost("cut"), now: at(now))
      _ = applier.step(.tick, now: at(now + 35_000))
      _ = applier.step(.connected(facts), now: at(now + 35_000))
      _ = applier.step(.registerReply(ApplierTests.master { $0.lineage = lineage }), now: at(now + 35_001))
      guard case .requestingPlan = applier.state else { return applier.lastError?.code }
      return nil
    }
    let facts = ApplierTests.facts { $0.lineage = Self.own }
    #expect(again(Self.masters, facts) == nil)
    #expect(again(node(7), facts) == .otherDataSet, "a later one at the same address")
    #expect(again(Self.masters, facts) == nil)
    // It has what was ordered: what the master has next is another matter.
    #expect(again(node(7), ApplierTests.facts { $0.lineage = Self.masters }) == .otherDataSet)
    // News of a master takes the order's place.
    _ = applier.step(.attach(place(7500), .configured), now: at(300_000))
    _ = applier.step(.connected(facts), now: at(300_000))
    _ = applier.step(.registerReply(ApplierTests.master()), now: at(300_001))
    #expect(applier.lastError?.code == .otherDataSet)
  }

  @Test func anOrderThatWasWrittenDownHoldsAfterARestartForItsDataSetOnly() {
    let facts = ApplierTests.facts { ($0.lineage, $0.orderedLineage) = (Self.own, Self.masters) }
    #expect(meets(.configured, facts: facts).applier.lastError == nil)
    #expect(meets(.configured, { $0.lineage = node(7) }, facts: facts).applier.lastError?.code == .otherDataSet)
  }

  @Test func aRegistrationTellsWhatIsGivenUp() throws {
    func givesUp(_ reason: FollowReason, _ facts: LocalFacts) -> DataSetOrder? {
      var applier = Applier()
      _ = applier.step(.attach(place(7400), reason), now: at(0))
      for action in applier.step(.connected(facts), now: at(0)) {
        if case .sendRegister(let request) = action { return request.givesUp }
      }
      return nil
    }
    #expect(givesUp(.configured, ApplierTests.facts()) == .nothing)
    #expect(givesUp(.ordered, ApplierTests.facts()) == .anything)
    #expect(givesUp(.configured, ApplierTests.facts { $0.acceptDataLoss = true }) == .anything)
    #expect(givesUp(.configured, ApplierTests.facts { $0.orderedLineage = node(3) }) == .dataSet(node(3)))
    for order in [DataSetOrder.nothing, .anything, .dataSet(node(3))] {
      #expect(DataSetOrder(text: order.text) == order)
    }
    #expect(DataSetOrder(text: "all") == nil && DataSetOrder(text: "") == nil)
    var request = RegistryTests.request(1)
    request.givesUp = nil
    #expect(try RegisterRequest(parsing: request.arguments).givesUp == nil, "an older node")
  }

  @Test func aFullSyncOfAnotherDataSetThanTheMasterNamedIsRefused() {
    var begin = ApplierTests.full
    begin.lineage = node(7)
    let applier = ApplierTests.begun(begin)
    #expect(applier.lastError?.code == .otherLineage)
  }

  // MARK: The master

  private func strangers(_ change: (inout RegisterRequest) -> Void = { _ in }) -> RegisterRequest {
    RegistryTests.request(5) {
      $0.lineage = Self.own
      change(&$0)
    }
  }
  private func streaming(_ registry: inout Registry) {
    _ = registry.step(.register(RegistryTests.a, RegistryTests.request(1), RegistryTests.master()), now: at(1))
    _ = registry.step(.planned(RegistryTests.a, RegistryTests.plan(), pinFrom: LSN(901)), now: at(2))
    _ = registry.step(.streaming(RegistryTests.a), now: at(3))
  }

  @Test func aMasterThatNobodyFollowsStopsForANodeOfAnotherDataSet() throws {
    var registry = Registry(config: RegistryTests.config(), now: at(0))
    let actions = registry.step(.register(RegistryTests.b, strangers(), RegistryTests.master()), now: at(10))
    guard case .introduce(RegistryTests.b, let reply)? = actions.first else {
      return #expect(Bool(false), "\(actions)")
    }
    #expect(reply.lineage == Self.masters, "the slave sees what is here")
    #expect(actions.dropFirst() == [.rivalSeen(Self.own, from: node(5), at: place(7405))])
    #expect(registry.slaves.isEmpty)
    // So does an empty one, and the slave is not told of DATALOSS: it sees both.
    let empty = registry.step(
      .register(RegistryTests.b, strangers(), RegistryTests.master { $0.hasData = false }), now: at(11))
    #expect(empty.contains(.rivalSeen(Self.own, from: node(5), at: place(7405))))
    // An older node would ask for what is here without looking.
    let older = registry.step(
      .register(RegistryTests.b, strangers { $0.givesUp = nil }, RegistryTests.master()), now: at(12))
    guard case .refuse(_, let error)? = older.first else { return #expect(Bool(false), "\(older)") }
    #expect(error.code == .otherDataSet && older.count == 2)
  }

  @Test func aMasterThatIsFollowedOrConfirmedGoesOn() {
    var registry = Registry(config: RegistryTests.config(), now: at(0))
    streaming(&registry)
    let actions = registry.step(.register(RegistryTests.b, strangers(), RegistryTests.master()), now: at(10))
    #expect(actions.count == 1)
    guard case .introduce? = actions.first else { return #expect(Bool(false), "\(actions)") }
    #expect(registry.slaves.map(\.id) == [node(1)])
    // An older node is let in as ever.
    let older = registry.step(
      .register(RegistryTests.b, strangers { $0.givesUp = nil }, RegistryTests.master()), now: at(11))
    #expect(older.contains { if case .reply = $0 { true } else { false } })
    var alone = Registry(config: RegistryTests.config(), now: at(0))
    let confirmed = RegistryTests.master { $0.isConfirmed = true }
    #expect(alone.step(.register(RegistryTests.b, strangers(), confirmed), now: at(10)).count == 1)
  }

  @Test func whoGivesItsDataUpIsLetIn() {
    for change: (inout RegisterRequest) -> Void in [
      { $0.givesUp = .anything }, { $0.givesUp = .dataSet(Self.masters) }, { $0.acceptDataLoss = true },
      { ($0.hasData, $0.lineage, $0.last) = (false, nil, .none) },
    ] {
      var registry = Registry(config: RegistryTests.config(), now: at(0))
      let actions = registry.step(.register(RegistryTests.b, strangers(change), RegistryTests.master()), now: at(10))
      #expect(actions.contains { if case .reply = $0 { true } else { false } })
      #expect(!actions.contains { if case .rivalSeen = $0 { true } else { false } })
    }
    #expect(
      StrangerRule.verdict(strangers { $0.givesUp = .dataSet(node(3)) }, lineage: Self.masters, isEstablished: false)
        == .rivals)
  }

  @Test func whileItWaitsOnlyWhoHoldsDataMayFollow() {
    let held = RegistryTests.master { $0.rival = Self.own }
    var registry = Registry(config: RegistryTests.config(), now: at(0))
    let empty = RegistryTests.request(2) { ($0.hasData, $0.lineage, $0.last) = (false, nil, .none) }
    let actions = registry.step(.register(RegistryTests.b, empty, held), now: at(10))
    guard case .refuse(_, let error)? = actions.first else { return #expect(Bool(false), "\(actions)") }
    #expect(error.code == .otherDataSet && error.message.contains("MS_NEW_DATA_SET"))
    #expect(registry.step(.register(RegistryTests.b, RegistryTests.request(2), held), now: at(11)).count > 1)
    #expect(registry.slave(node(2))?.broughtData == true)
  }

  // MARK: What was given up

  @Test func namesOfReplacedStoresComeBack() {
    let store = ReplacedStore(lineage: node(9), last: position(3, 120), atSeconds: 1_700_000_000, bytes: 5)
    #expect(store.name == "replaced-\(node(9))-3-120-1700000000")
    #expect(ReplacedStore(name: store.name)?.name == store.name)
    #expect(ReplacedStore(name: store.name)?.last.lsn == LSN(120))
    for bad in [
      "replaced-", "replaced-\(node(9))", "replaced-\(node(9))-3-120", "replaced-\(node(9))-3-120-1-1",
      "replaced-\(node(9))-03-120-1", "replaced-zz-3-120-1", "lost-3-120.resp", "replaced-\(node(9))-4294967296-1-1",
      "replaced-\(node(9))-3-120-99999999999999999999", "replaced-../x-1-1-1",
    ] {
      #expect(ReplacedStore(name: bad) == nil, "\(bad)")
    }
  }

  @Test func oldestGoFirstByAgeAndBySpace() {
    let stores = [30, 10, 20].map {
      ReplacedStore(lineage: node(9), last: position(1, 5), atSeconds: UInt64($0), bytes: 100)
    }
    func dropped(now: UInt64, keep: UInt64, free: UInt64 = .max, wanted: UInt64 = 0) -> [UInt64] {
      ReplacedStoreRule.dropped(stores, nowSeconds: now, keepSeconds: keep, freeBytes: free, wantedBytes: wanted)
        .map(\.atSeconds)
    }
    #expect(dropped(now: 35, keep: 100) == [])
    #expect(dropped(now: 40, keep: 20) == [10, 20])
    #expect(dropped(now: 5, keep: 1) == [], "a clock that was set back")
    #expect(dropped(now: 35, keep: 0) == [10, 20, 30])
    #expect(dropped(now: 35, keep: 100, free: 50, wanted: 100) == [10])
    #expect(dropped(now: 35, keep: 100, free: 50, wanted: 200) == [10, 20])
    #expect(dropped(now: 35, keep: 100, free: 0, wanted: .max) == [10, 20, 30])
  }
}
