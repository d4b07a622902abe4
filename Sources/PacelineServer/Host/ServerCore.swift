import Commands
import Core
import LogStore
import Logging
import NIOCore
import NIOPosix
import Node
import NodeCommands
import RESP
import Replication
import Synchronization

/// What all event loops share: the node, its commit thread, the list of loops. Commands of the server itself are in
/// `Commands/`.
package final class ServerCore: RowHost, @unchecked Sendable {
  // Safe to share: constants, atomics and mutexes; `workers` is set before the first connection.
  let logger: Logger
  let directory: DataDirectory
  let settings: Mutex<Settings>
  let startedAt = Clocks.monotonic
  private(set) var workers: [LoopWorker] = []
  // Set once in `init`, after `self` exists.
  private(set) var node: NodeCore!
  private(set) var row: RowCommands!
  private var commitThread: CommitThread!
  private(set) var maintenanceThread: WorkThread!
  private(set) var compactionThread: WorkThread!
  private(set) var scrubThread: WorkThread!
  private(set) var digestThread: WorkThread!
  /// One loop for the link to the master, the others for slaves' relays; blocking is allowed there.
  private let background: MultiThreadedEventLoopGroup
  package let upstreamLoop: any WorkLoop
  private let relayLoops: [any WorkLoop]
  private let nextRelayLoop = Atomic<Int>(0)
  /// For commands that block on disk: they never run on a loop.
  let adminPool = NIOThreadPool(numberOfThreads: 2)
  /// What the commands of the server itself keep.
  let service = ServiceState()
  /// The role takes writes. Loops keep a copy; what a loop would refuse by a stale one it looks up here.
  let roleTakesWrites = Atomic<Bool>(true)
  private(set) var shutdown: ShutdownControl!
  let nextClientID = Atomic<UInt64>(1)
  let connected = Atomic<Int>(0)
  let rejected = Atomic<Int>(0)
  let accepted = Atomic<Int>(0)
  let durability: Durability

  init(
    configuration: ServerConfiguration, directory: DataDirectory, store: LogStore, damage: TailDamage?, logger: Logger
  ) {
    settings = Mutex(Settings(configuration))
    durability = configuration.durability
    self.directory = directory
    self.logger = logger
    background = MultiThreadedEventLoopGroup(numberOfThreads: 1 + max(1, min(4, System.coreCount)))
    let loops = background.makeIterator().map { BackgroundLoop($0) }
    upstreamLoop = loops[0]
    relayLoops = Array(loops.dropFirst())
    commitThread = CommitThread(
      store: store, durability: configuration.durability,
      intervalMilliseconds: configuration.fsyncIntervalMilliseconds,
      onBegin: { [unowned self] store in node?.appended(store) },
      onCommit: { [unowned self] store, result in node?.committed(store, result) })
    node = NodeCore(host: self, directory: directory, store: store, damage: damage, logger: logger)
    row = RowCommands(node, host: self)
    maintenanceThread = WorkThread("pl-maintain", ServerRounds(core: self))
    compactionThread = WorkThread("pl-compact", node.compaction)
    scrubThread = WorkThread("pl-scrub", node.scrub)
    digestThread = WorkThread("pl-digest", node.digestRepair)
    shutdown = ShutdownControl(core: self)
    adminPool.start()
  }

  var configuration: ServerConfiguration { settings.withLock { $0.server } }
  var store: LogStore { node.store }
  var replication: ReplicationService { node.replication }
  var role: Role { node.role }
  var isMaster: Bool { node.isMaster }

  func start(loops: [any EventLoop]) {
    workers = loops.map { LoopWorker(eventLoop: $0, server: self, store: store) }
    for loop in loops { loop.execute { MayBlock.forbid() } }
    startService()
    maintenanceThread.start()
    compactionThread.start()
    scrubThread.start()
    digestThread.start()
  }

  func worker(for loop: any EventLoop) -> LoopWorker {
    workers.first { $0.eventLoop === loop }!  // every child channel is on one of our loops
  }

  // MARK: The data path's questions

  @inline(__always)
  func good(of store: LogStore) -> Gate {
    let good = node.good(of: store)
    return Gate(durable: good.durable, committed: good.committed)
  }
  @inline(__always) func clock(at now: Tick) -> WallClock { node.expiryClock.read(at: now, wall: Clocks.wall) }
  package var expiryClock: WallClock? { node.clock }
  @inline(__always) func appended() { commitThread.wake() }

  /// In this order: replies that are good leave, clients end, no more background changes, the log on disk, slaves and
  /// master end. The loops still run.
  func stop() async {
    commitNow()
    for worker in workers { try? await worker.closeClients().get() }
    compactionThread.stop()
    scrubThread.stop()
    digestThread.stop()
    maintenanceThread.stop()
    commitThread.stop()
    node.maintainStore()
    node.stop()
    try? await background.shutdownGracefully()
    try? await adminPool.shutdownGracefully()
  }

  // MARK: Loops

  package func relayLoop() -> any WorkLoop {
    relayLoops[nextRelayLoop.wrappingAdd(1, ordering: .relaxed).oldValue % relayLoops.count]
  }
  package func wakeCommit() { commitThread.wake() }
  package func betweenCommits<Result>(_ body: () throws -> Result) rethrows -> Result {
    try commitThread.between(body)
  }
  package func commits(in store: LogStore) { commitThread.use(store) }
  @discardableResult
  package func commitNow() -> CommitResult { commitThread.flush() }
  package func stateChanged() { for worker in workers { worker.stateChanged() } }

  // MARK: ServerServices

  package var password: [UInt8]? { configuration.password.map { Array($0.utf8) } }
  package var redisVersion: String { "7.0.15" }
  package var roleName: String { isMaster ? "master" : "replica" }
  package func readOnlyError() -> String {
    guard case .slave(let master) = role else { return "READONLY You can't write against a read only replica." }
    if let waiting = node.waitsForPeers {
      return "READONLY You can't write against a read only replica. This node has no master yet, it waits \(waiting)"
    }
    return "READONLY You can't write against a read only replica. The master is \(master.host):\(master.port)"
  }

  package var level: RecordLevel { configuration.commit.level }
  package var fullsyncSlaves: Int { configuration.commit.slaves }
  @inline(__always) var writeBar: WriteBar { WriteBar(rawValue: node.writeBar.load(ordering: .relaxed)) ?? .none }

  /// A master says something ten times a second.
  private static let silentMillisecondsMax: UInt64 = 2000

  package func staleness(beyond bound: StalenessBound, _ store: LogStore, now: Tick) -> String? {
    guard !isMaster else { return nil }
    let view = replication.upstream.view
    let advice = "; ask the master, or READ MAXLAG off"
    guard view.isLinkUp, view.isInSync else { return "STALE this slave has no link to its master\(advice)" }
    switch bound {
    case .milliseconds(let most):
      let age = now.since(view.freshAt)
      return age > most ? "STALE what this slave shows is \(age) ms old, \(most) ms are allowed\(advice)" : nil
    case .records(let most):
      // How many there are is known only as of then. Through a slave that lost its own link, nothing is heard.
      let silent = now.since(view.lastHeard)
      guard silent <= Self.silentMillisecondsMax else {
        return "STALE this slave has not heard of its master for \(silent) ms\(advice)"
      }
      let applied = store.positions.applied
      let behind = view.masterLastLSN > applied ? view.masterLastLSN.value - applied.value : 0
      return behind > most ? "STALE this slave is \(behind) records behind, \(most) are allowed\(advice)" : nil
    }
  }
}
