import Commands
import Core
import LogStore
import Logging
import Node
import RESP
import Replication

/// One life of a node: the real `NodeCore`, on loops, a network, a disk and clocks of the simulation. What a server's
/// shell is there, this is here: commits, maintenance and compaction are events.
package final class NodeProcess: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let site: SimulatedNode
  let process: SimulatedProcess
  let queue: EventQueue
  let configuration: NodeConfiguration
  private(set) var core: NodeCore!
  private(set) var workers: [SimulatedWorker] = []
  private let upstream: SimulatedLoop
  private let relays: [SimulatedLoop]
  /// Commands that block on disk.
  let admin: SimulatedLoop
  let background: SimulatedLoop
  private var nextRelay = 0
  private var nextClient: UInt64 = 1
  private var nextWorker = 0
  var random: SplitMix64

  // The commit.
  private var commitStore: LogStore
  private var isCommitScheduled = false
  private var lastSync: UInt64 = 0
  private var isMarked = true
  // Maintenance.
  private var isMaintenanceScheduled = false
  private var lastSecond: UInt64 = 0
  private var lastDigest: UInt64 = 0
  var compaction: SimulatedCompaction?
  private(set) lazy var scrub = SimulatedScrub(self)
  private var pauses = 0
  /// A handover is under way.
  private(set) var pausesWrites = false
  /// SIGTERM came.
  var isStopping = false
  var shutdown = Shutdown()
  private let clockBase: UInt64

  /// Opens the data directory and takes the role; throws as a start of the server does.
  init(site: SimulatedNode, process: SimulatedProcess, seed: UInt64) throws {
    self.site = site
    self.process = process
    queue = process.queue
    configuration = site.configuration
    var random = SplitMix64(seed: seed)
    clockBase = UInt64(1000 + random.below(1_000_000))
    upstream = SimulatedLoop(process: process, seed: random.next())
    relays = (0..<2).map { _ in SimulatedLoop(process: process, seed: random.next()) }
    admin = SimulatedLoop(process: process, seed: random.next())
    background = SimulatedLoop(process: process, seed: random.next())
    let (directory, notes) = try DataDirectory.open("data", fileSystem: site.disk) { count in
      (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    for note in notes { site.log("note: \(note)") }
    let (store, report, damage) = try directory.openStoreAtStart(
      configuration: site.configuration.store, workers: 1, run: Self.inTurn)
    for note in report.notes { site.log("note: \(note)") }
    // No disk of a simulation damages what was synced.
    if let damage { site.simulation.report(Violation("damage", "node \(site.number): \(damage)")) }
    commitStore = store
    self.random = random
    core = NodeCore(host: self, directory: directory, store: store, damage: damage, logger: site.logger)
    workers = (0..<2).map { _ in
      SimulatedWorker(
        node: self, loop: SimulatedLoop(process: process, seed: self.random.next(), mayBlock: false), store: store)
    }
    process.stepEnded = { [unowned self] in stepEnded() }
  }

  var store: LogStore { core.store }

  /// The process ended: what holds each other lets go, so that its memory is given back.
  func dismantle() {
    workers = []
    compaction = nil
    core.dismantle()
  }

  static let inTurn: ParallelRunner = { count, body in for i in 0..<count { body(i) } }

  /// Takes the role that it had last, or that it is started with; `done` is called when clients may come in.
  func takeRole(then done: @escaping @Sendable ((any Error)?) -> Void) {
    let role = core.rememberedRole ?? site.startMaster.map { .slave(of: SimulatedNode.address($0)) } ?? .master
    site.log("starts as \(role)")
    scheduleMaintenance(after: 100_000)
    scheduleCompaction()
    if site.simulation.plan.flipsBits { scrub.start() }
    core.start(role, then: done)
  }

  /// After every step: the disk may have taken time. Returns for how long it held the loop up.
  private func stepEnded() -> UInt64 {
    pauses = 0
    site.stepEnded()
    return UInt64(site.disk.takeLatency())
  }

  // MARK: Clients

  /// A place for one more connection.
  func place() -> (SimulatedLoop, (SimulatedConnection) -> any ConnectionReceiver) {
    nextWorker += 1
    let worker = workers[nextWorker % workers.count]
    return (
      worker.loop,
      { [unowned self] connection in
        let handler = ClientConnection(worker: worker, connection: connection, id: nextClient)
        nextClient += 1
        worker.clients[handler.session.id] = handler
        return handler
      }
    )
  }

  /// A slave's connection closed before it became a stream.
  func slaveLeft(_ link: LinkID) { admin.run { [self] in core.replication.linkClosed(link) } }

  func client(_ id: UInt64) -> ClientConnection? {
    for worker in workers { if let client = worker.clients[id] { return client } }
    return nil
  }

  // MARK: The commit

  private func scheduleCommit() {
    guard !isCommitScheduled else { return }
    isCommitScheduled = true
    let delay: UInt64
    switch configuration.durability {
    case .fsync: delay = site.syncDelay()
    case .interval, .none: delay = UInt64(200 + random.below(2000))
    }
    process.at(queue.now + delay) { [self] in
      isCommitScheduled = false
      let store = commitStore
      let isSyncDue = isLeisurely && queue.now - lastSync >= 200_000
      let sync = configuration.durability == .fsync || isSyncDue
      commit(sync: sync)
      if store.positions.written < store.positions.appended { scheduleCommit() }
      _ = stepEnded()
    }
  }

  /// Records are written first, and synced some time later.
  private var isLeisurely: Bool { configuration.durability != .fsync }

  @discardableResult
  private func commit(sync: Bool) -> CommitResult {
    let store = commitStore
    if sync { lastSync = queue.now }
    isMarked = false
    core.appended(store)
    let result = store.commit(sync: sync)
    core.committed(store, result)
    // Whoever asked for it: a full disk is tried again until there is room.
    if result.blocked { process.at(queue.now + 200_000) { [self] in scheduleCommit() } }
    return result
  }

  // MARK: Maintenance

  private func scheduleMaintenance(after delay: UInt64) {
    process.at(queue.now + delay) { [self] in
      background.run { [self] in maintain() }
      scheduleMaintenance(after: 100_000)
    }
  }

  private func maintain() {
    isMaintenanceScheduled = false
    core.expire()
    core.maintainStore()
    core.disk.look(core.store)
    core.tick()
    stateChanged()
    core.replication.sampleWrites()
    if queue.now - lastSecond >= 1_000_000 {
      lastSecond = queue.now
      core.replication.measure()
    }
    if queue.now - lastDigest >= site.digestIntervalMicroseconds {
      lastDigest = queue.now
      core.replication.sendDigest()
    }
    if isLeisurely, store.positions.durable < store.positions.appended { scheduleCommit() }
    // Quiet for a while: a mark behind the last record says that all of it is synced.
    if configuration.durability == .fsync, !isMarked, queue.now - lastSync > 1_000_000 {
      commit(sync: true)
      isMarked = true
    }
  }
}

extension NodeProcess: NodeHost {
  package var monotonic: Tick { Tick(milliseconds: clockBase + queue.now / 1000) }
  package var wall: WallClock { site.wall }
  package var nodeConfiguration: NodeConfiguration { configuration }
  package var upstreamLoop: any WorkLoop { upstream }
  package func relayLoop() -> any WorkLoop {
    nextRelay += 1
    return relays[nextRelay % relays.count]
  }
  package var cores: Int { 1 }
  package var parallel: ParallelRunner { Self.inTurn }
  package func beside(_ name: String, _ work: @escaping @Sendable () -> Void) -> any Joinable {
    work()
    return Done()
  }
  private struct Done: Joinable {
    func join() {}
  }
  package func pause(milliseconds: Int) {
    MayBlock.check("pause")
    pauses += 1
    // Nothing else runs meanwhile: whatever is waited for never comes.
    precondition(pauses < 1000, "node \(site.number) waits for ever")
  }

  package func connect(_ address: NodeAddress, on loop: any WorkLoop, to receiver: sending any ConnectionReceiver) {
    guard let loop = loop as? SimulatedLoop else { preconditionFailure("a loop of another host") }
    site.network.connect(from: site.number, to: SimulatedNode.number(of: address), on: loop, to: receiver)
  }
  package func closeClient(_ link: LinkID) { client(link.value)?.connection.close() }

  package func wakeCommit() { scheduleCommit() }
  @discardableResult package func commitNow() -> CommitResult {
    MayBlock.check("commit")
    return commit(sync: true)
  }
  package func commits(in store: LogStore) {
    commitStore = store
    scheduleCommit()
  }

  package func moveReaders(to store: LogStore) {
    MayBlock.check("wait for the loops")
    for worker in workers {
      let good = worker.good
      for id in worker.clients.keys.sorted() { worker.clients[id]?.endHeld(good: good) }
      worker.executor.use(store)
    }
  }
  package func takesWrites(_ yes: Bool) { for worker in workers { worker.takesWrites = yes } }
  package func commitAdvanced() { for worker in workers { worker.askForRelease() } }
  package func stateChanged() { for worker in workers { worker.askForRelease() } }
  package var startRole: String { site.startMaster.map { SimulatedNode.address($0).description } ?? "self" }
  package func betweenCommits<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
  package func pauseWrites(_ yes: Bool) {
    pausesWrites = yes
    stateChanged()
  }
  package func damageMet(in file: String, of store: LogStore) {
    guard site.simulation.plan.flipsBits else {
      return site.simulation.report(Violation("damage", "node \(site.number): \(file)"))
    }
    if store.suspect(file: file) { site.log("met damage in \(file)") }
  }
  package func digestSample() -> Digest { core.digest() }
  package func digestDiffers(_ ranges: [Digest.RangeID], at lsn: LSN, in store: LogStore) {
    // A record that cannot be read is not found by what replaces it: both count until it is repaired.
    guard !site.simulation.plan.flipsBits else { return }
    site.simulation.report(Violation("digests differ", "node \(site.number) at LSN \(lsn)"))
  }
  package func wakeMaintenance() {
    guard !isMaintenanceScheduled else { return }
    isMaintenanceScheduled = true
    background.run { [self] in maintain() }
  }
}
