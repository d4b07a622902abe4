import Commands
import Core
import LogStore
import Logging
import NIOCore
import NIOPosix
import Node
import RESP
import Synchronization

/// What all event loops share: the node, its commit thread, the list of loops. Commands of the server itself are in
/// `Commands/`.
package final class ServerCore: ServerServices, @unchecked Sendable {
  // Safe to share: constants, atomics and mutexes; `workers` is set before the first connection.
  let logger: Logger
  let directory: DataDirectory
  let fileSystem: RealFileSystem
  let settings: Mutex<ServerConfiguration>
  let startedAt = Clocks.monotonic
  private let storeBox: Mutex<LogStore>
  private(set) var workers: [LoopWorker] = []
  // Set once in `init`, after `self` exists.
  private var commitThread: CommitThread!
  private(set) var replication: ReplicationService!
  private var maintenanceThread: MaintenanceThread!
  private(set) var compactionThread: CompactionThread!
  private(set) var scrubThread: ScrubThread!
  private(set) var digestRepair: DigestRepair!
  let roleBox: Mutex<Role>
  let termValue = Atomic<UInt32>(0)
  let maintaining = Mutex<Void>(())
  let lastSave = Atomic<UInt64>(Clocks.wall.milliseconds / 1000)
  let expiredKeys = Atomic<UInt64>(0)
  /// For commands that block on disk: they never run on a loop.
  let adminPool = NIOThreadPool(numberOfThreads: 2)
  let maintenance = Signal()
  /// What the commands of the server itself keep.
  let service = ServiceState()
  let disk: DiskWatch
  /// A generation could not be written and is due.
  let generationIsDue = Atomic<Bool>(false)
  /// Master's wall clock minus ours, milliseconds; 0 on a master.
  let clockOffset = Atomic<Int64>(0)
  let nextClientID = Atomic<UInt64>(1)
  let connected = Atomic<Int>(0)
  let rejected = Atomic<Int>(0)
  let accepted = Atomic<Int>(0)
  let durability: Durability

  init(
    configuration: ServerConfiguration, directory: DataDirectory, fileSystem: RealFileSystem, store: LogStore,
    logger: Logger
  ) {
    settings = Mutex(configuration)
    durability = configuration.durability
    self.directory = directory
    self.fileSystem = fileSystem
    self.logger = logger
    disk = DiskWatch(logger: logger)
    storeBox = Mutex(store)
    roleBox = Mutex(.master)
    termValue.store(store.newestTerm?.value ?? 0, ordering: .releasing)
    commitThread = CommitThread(
      store: store, durability: configuration.durability,
      intervalMilliseconds: configuration.fsyncIntervalMilliseconds
    ) { [unowned self] store, result in committed(store, result) }
    replication = ReplicationService(core: self, configuration: configuration, logger: logger)
    maintenanceThread = MaintenanceThread(core: self)
    compactionThread = CompactionThread(core: self)
    scrubThread = ScrubThread(core: self)
    digestRepair = DigestRepair(core: self)
    adminPool.start()
  }

  var configuration: ServerConfiguration { settings.withLock { $0 } }
  var store: LogStore { storeBox.withLock { $0 } }

  func start(loops: [any EventLoop]) {
    workers = loops.map { LoopWorker(eventLoop: $0, server: self, store: store) }
    startService()
    maintenanceThread.start()
    compactionThread.start()
    scrubThread.start()
    digestRepair.start()
  }

  /// Makes another store the node's; returns the old one. Loops follow through `replaceStore`.
  func swapStore(_ fresh: LogStore) -> LogStore {
    let old = storeBox.withLock { box in
      defer { box = fresh }
      return box
    }
    // It may have changed since that store was made. After the exchange: what CONFIG SET changes later, it changes here.
    fresh.compression = configuration.store.compression
    commitThread.use(fresh)
    return old
  }

  func worker(for loop: any EventLoop) -> LoopWorker {
    workers.first { $0.eventLoop === loop }!  // every child channel is on one of our loops
  }

  // MARK: The data path's questions

  @inline(__always)
  func goodLSN(of store: LogStore) -> UInt64 {
    durability == .fsync ? max(store.positions.durable.value, store.isReplica ? UInt64.max : 0) : .max
  }
  @inline(__always) var clock: WallClock {
    let offset = clockOffset.load(ordering: .relaxed)
    let wall = Clocks.wall
    return offset == 0 ? wall : WallClock(milliseconds: UInt64(max(0, Int64(wall.milliseconds) &+ offset)))
  }
  @inline(__always) func appended() { commitThread.wake() }
  @inline(__always) func isOverloaded(_ store: LogStore) -> Bool { store.isOverloaded }

  // MARK: Commit

  private func committed(_ store: LogStore, _ result: CommitResult) {
    if !store.isWritable, store === self.store { disk.look(store) }
    let good = durability == .fsync ? result.durable : result.written
    if store.isReplica {
      replication?.upstream.durableAdvanced(good)
    } else {
      store.positions.set(committed: good)
    }
    for worker in workers { worker.commitAdvanced() }
    replication?.logAdvanced()
    if result.filledSegments { maintenance.raise() }
  }

  /// Writes and syncs what is appended now. Blocks; never on a loop that serves clients.
  @discardableResult
  func commitNow() -> CommitResult { commitThread.flush() }

  /// Acks, positions or the role changed: suspended commands look again.
  func stateChanged() { for worker in workers { worker.stateChanged() } }

  /// In this order: replies that are good leave, clients end, no more background changes, the log on disk, slaves and
  /// master end. The loops still run.
  func stop() async {
    commitNow()
    for worker in workers { try? await worker.closeClients().get() }
    compactionThread.stop()
    scrubThread.stop()
    digestRepair.stop()
    maintenanceThread.stop()
    commitThread.stop()
    maintainStore()
    await replication.shutdown()
    try? await adminPool.shutdownGracefully()
  }

  // MARK: Connections

  /// nil while it lasts; then what is to be answered, if anything.
  func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer?? {
    switch suspension {
    case .time(let until): return now >= until ? .some(nil) : nil
    case .reply(let pending): return pending.ready.map { .some($0) }
    case .paused: return service.pause.current(now: now) == nil ? .some(nil) : nil
    case .slaves(let count, let lsn, let deadline): return waitOutcome(count, lsn, deadline, now)
    case .visible(let lsn, let deadline): return visibleOutcome(lsn, deadline, now)
    }
  }

  // MARK: ServerServices

  package var password: [UInt8]? { configuration.password.map { Array($0.utf8) } }
  package var redisVersion: String { "7.0.15" }
  package var roleName: String { isMaster ? "master" : "replica" }
  package func readOnlyError() -> String {
    guard case .slave(let master) = role else { return "READONLY You can't write against a read only replica." }
    return "READONLY You can't write against a read only replica. The master is \(master.host):\(master.port)"
  }
}
