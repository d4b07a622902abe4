import Commands
import Core
import LogStore
import Logging
import Node
import NodeCommands
import RESP
import Replication

/// One life of a node: the real `NodeCore`, on loops, a network, a disk and clocks of the simulation. What a server's
/// shell is there, this is here: commits, maintenance and compaction are events.
package final class NodeProcess: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let site: SimulatedNode
  let process: SimulatedProcess
  let queue: EventQueue
  private(set) var configuration: NodeConfiguration
  private(set) var core: NodeCore!
  private(set) var row: RowCommands!
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
  /// What the node draws itself.
  private var lots: SplitMix64

  // The commit.
  private var commitStore: LogStore
  private var commitSchedule: CommitSchedule
  private var commitTimer: EventQueue.Ticket?
  /// Somebody asked for a commit, and it is on its way.
  private var isCommitAsked = false
  // Background work.
  private let isDamagedAtStart: Bool
  private(set) var maintenance: SimulatedWork!
  private(set) var compaction: SimulatedWork!
  private(set) var scrub: SimulatedWork!
  private(set) var digestRepair: SimulatedWork!
  private var filesRepaired = 0
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
    lots = SplitMix64(seed: ~seed)
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
    if let damage, !site.startMayFail { site.simulation.report(Violation("damage", "node \(site.number): \(damage)")) }
    isDamagedAtStart = damage != nil
    commitStore = store
    commitSchedule = CommitSchedule(
      configuration.durability, intervalMilliseconds: 200, now: Tick(milliseconds: clockBase + queue.now / 1000))
    self.random = random
    core = NodeCore(host: self, directory: directory, store: store, damage: damage, logger: site.logger)
    row = RowCommands(core, host: self)
    workers = (0..<2).map { _ in
      SimulatedWorker(
        node: self, eventLoop: SimulatedLoop(process: process, seed: self.random.next(), mayBlock: false), store: store)
    }
    maintenance = SimulatedWork(core.rounds, self) { [unowned self] in stateChanged() }
    compaction = SimulatedWork(core.compaction, self)
    scrub = SimulatedWork(core.scrub, self) { [unowned self] in countRepairs() }
    digestRepair = SimulatedWork(core.digestRepair, self)
    process.stepEnded = { [unowned self] in stepEnded() }
  }

  var store: LogStore { core.store }
  /// It looks for a node that holds what a damaged file of its log held, and opens nothing before.
  var seeksLostRecords: Bool { isDamagedAtStart && store.isClosedForGood }

  /// The process ended: what holds each other lets go, so that its memory is given back.
  func dismantle() {
    // A job that ends removes its unfinished file; a dead process leaves it.
    site.disk.deaf { core.compaction.end() }
    for worker in workers { worker.dismantle() }
    workers = []
    core.dismantle()
  }

  static let inTurn: ParallelRunner = { count, body in for i in 0..<count { body(i) } }

  /// Takes the role that it had last, or that it is started with; `done` is called when clients may come in.
  func takeRole(then done: @escaping @Sendable ((any Error)?) -> Void) {
    let role = core.rememberedRole ?? startRole
    site.log("starts as \(role)")
    restCommit()
    maintenance.start(afterMilliseconds: 100)
    compaction.start(afterMilliseconds: configuration.compaction.idleMilliseconds)
    scrub.start(afterMilliseconds: configuration.scrub.idleMilliseconds)
    digestRepair.start(afterMilliseconds: 1000)
    core.start(role, then: done)
  }

  /// After every step: the disk may have taken time. Returns for how long it held the loop up.
  private func stepEnded() -> UInt64 {
    pauses = 0
    site.stepEnded()
    return UInt64(site.disk.takeLatency())
  }

  /// COMPACT.
  func compactAll() { if !core.compaction.isAsked { core.compaction.compactAll { _ in } } }

  /// The faults are over: files are checked often.
  func heal() { configuration.scrub = site.configuration.scrub }

  private func countRepairs() {
    let repaired = core.scrub.damage.filesRepaired
    for _ in 0..<max(0, repaired - filesRepaired) { site.simulation.repaired() }
    filesRepaired = repaired
  }

  // MARK: Clients

  /// A place for one more connection.
  func place() -> (SimulatedLoop, (SimulatedConnection) -> any ConnectionReceiver) {
    nextWorker += 1
    let worker = workers[nextWorker % workers.count]
    return (
      worker.eventLoop,
      { [unowned self] connection in
        let handler = SimulatedSocket(worker: worker, socket: connection, id: nextClient)
        nextClient += 1
        worker.clients[handler.connection.session.id] = handler
        return handler
      }
    )
  }

  func client(_ id: UInt64) -> SimulatedSocket? {
    for worker in workers { if let client = worker.clients[id] { return client } }
    return nil
  }

  // MARK: The commit

  /// Somebody wants a commit: it takes what the others append until the disk, or the wait for more, is done.
  private func askForCommit() {
    guard !isCommitAsked else { return }
    isCommitAsked = true
    let delay: UInt64
    switch configuration.durability {
    case .fsync: delay = site.flushDelay()
    case .interval, .none: delay = UInt64(200 + random.below(2000))
    }
    process.at(queue.now + delay) { [self] in
      isCommitAsked = false
      commitStep(isAsked: true)
    }
  }

  /// Nobody wants one: the schedule looks by itself after a while.
  private func restCommit() {
    if let commitTimer { queue.cancel(commitTimer) }
    let pause = commitSchedule.waitMilliseconds(LogProgress(commitStore))
    commitTimer = process.at(queue.now + pause * 1000) { [self] in commitStep(isAsked: false) }
  }

  private func commitStep(isAsked: Bool) {
    let store = commitStore
    switch commitSchedule.next(LogProgress(store), isAsked: isAsked, now: monotonic) {
    case .nothing: break
    case .mark: commit(flush: true)
    case .commit(let flush):
      core.appended(store)
      let result = commit(flush: flush)
      let rest = commitSchedule.done(flush: flush, isBlocked: result.blocked, now: monotonic)
      if store.positions.written < store.positions.appended || result.blocked {
        process.at(queue.now + rest * 1000) { [self] in askForCommit() }
      }
    }
    restCommit()
    _ = stepEnded()
  }

  @discardableResult
  private func commit(flush: Bool) -> CommitResult {
    let store = commitStore
    let result = store.commit(flush: flush)
    core.committed(store, result)
    return result
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
  package func closeClient(_ link: LinkID) { client(link.value)?.socket.close() }

  package func wakeCommit() { askForCommit() }
  @discardableResult package func commitNow() -> CommitResult {
    MayBlock.check("commit")
    return commit(flush: true)
  }
  package func commits(in store: LogStore) {
    commitStore = store
    askForCommit()
  }

  package func moveReaders(to store: LogStore) {
    MayBlock.check("wait for the loops")
    for worker in workers { worker.move(to: store) }
  }
  package func takesWrites(_ yes: Bool) { for worker in workers { worker.loop.takesWrites = yes } }
  package func commitAdvanced() { for worker in workers { worker.askForRelease() } }
  package func stateChanged() { for worker in workers { worker.askForRelease() } }
  package var startRole: Role { site.startMaster.map { .slave(of: SimulatedNode.address($0)) } ?? .master }
  package func drawLot() -> UInt64 { lots.next() }
  package func betweenCommits<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
  package func pauseWrites(_ yes: Bool) {
    pausesWrites = yes
    stateChanged()
  }
  package func wake(_ duty: BackgroundDuty) {
    switch duty {
    case .maintenance: maintenance.wake()
    case .compaction: compaction.wake()
    case .scrub: scrub.wake()
    case .digestRepair: digestRepair.wake()
    }
  }
  package var isEnding: Bool { isStopping }
}
