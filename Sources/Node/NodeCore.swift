import Core
import LogStore
import Logging
import Replication
import Synchronization

/// One node without its surroundings: its data directory and store, its role, its slaves and its master.
///
/// The same code runs in the server, where a `NodeHost` gives it threads, sockets and clocks, and in the simulator.
/// What blocks on disk is never called from a loop that serves clients.
package final class NodeCore: @unchecked Sendable {
  // Safe to share: constants, atomics and mutexes; `replication` is set once in `init`, after `self` exists.
  package unowned let host: any NodeHost
  package let logger: Logger
  package let directory: DataDirectory
  package let disk: DiskWatch
  package private(set) var replication: ReplicationService!
  package private(set) var succession: Succession!
  package private(set) var rounds: Rounds!
  package private(set) var compaction: Compaction!
  package private(set) var scrub: Scrub!
  package private(set) var digestRepair: DigestRepair!
  package let digestSamples = DigestSamples()
  let durability: Durability
  private let storeBox: Mutex<LogStore>
  let termValue: Atomic<UInt32>
  /// The newest that another node told of, of which data set.
  let heardReign = Mutex<(lineage: NodeID, reign: Reign)>((.unknown, .none))
  /// Held by whoever seals, drops, compacts or names files in a generation.
  package let maintaining = Mutex<Void>(())
  /// A generation could not be written and is due.
  let generationIsDue = Atomic<Bool>(false)
  /// When the last generation was written, seconds since 1970.
  package let lastSave: Atomic<UInt64>
  package let expiryClock: NodeClock
  package let expiredKeys = Atomic<UInt64>(0)
  package let commitment = Commitment()
  /// How often the log was cut back, and how many records went, since the start.
  package let rewinds = Atomic<Int>(0)
  package let lostRecords = Atomic<UInt64>(0)
  /// The files with such records, also of earlier starts, that are still in the data directory.
  package let lostFiles: Mutex<[String]>
  let reachNotedAt = Mutex(Tick(milliseconds: 0))
  /// Found at the start and not cut yet: the store stands for one that is not open.
  let damageAtStart: TailDamage?
  /// Of the data set that claims this master's place; see `DataSetHold.swift`.
  let rivalBox: Mutex<DataSetState.Rival?>
  /// Raw value of what keeps writes out: 0 nothing, 1 too few slaves, 2 too many writes wait for slaves, 3 another data set.
  package let writeBar = Atomic<UInt8>(0)
  /// From this tick on nothing may be shown before a majority of the voters is heard of; the highest number where none is
  /// asked.
  package let readLease = Atomic<UInt64>(.max)
  let reviewingLease = Mutex<Void>(())
  /// See `reviewHiding`.
  let startHides = Atomic<Bool>(false)
  /// Why the last REPLICAOF was undone; empty if it was not.
  package let replicaOfError = Mutex("")
  let startedAt: Tick
  /// When the master of this node's promise gave it back.
  let promiseReleased = Atomic<UInt64>(0)
  /// Before it ended it may have promised its master something.
  let startedAsSlave = Atomic<Bool>(false)
  /// The number of databases of which it was said last that it counts instead of `--databases`, and in which role.
  let databasesNoted = Mutex<(number: Int, asMaster: Bool)?>(nil)

  package init(host: any NodeHost, directory: DataDirectory, store: LogStore, damage: TailDamage? = nil, logger: Logger)
  {
    self.host = host
    self.directory = directory
    self.logger = logger
    durability = host.nodeConfiguration.durability
    disk = DiskWatch(logger: logger)
    storeBox = Mutex(store)
    damageAtStart = damage
    lostFiles = Mutex(directory.lostFiles)
    directory.reserve.want(SpaceReserve.bytes(segmentBytes: host.nodeConfiguration.store.segmentBytes))
    store.refuseWithoutReserve()
    rivalBox = Mutex(directory.current.dataSet.rival)
    if directory.current.dataSet.rival != nil { writeBar.store(3, ordering: .relaxed) }
    // Until a reign begins: what this node has on disk alone must not count as good.
    store.withWriteLock { access in store.setReplica(true, access) }
    termValue = Atomic(store.newestReign?.term.value ?? 0)
    startedAt = host.monotonic
    expiryClock = NodeClock(host: host)
    lastSave = Atomic(host.wall.milliseconds / 1000)
    replication = ReplicationService(core: self)
    succession = Succession(core: self)
    rounds = Rounds(self)
    compaction = Compaction(self)
    scrub = Scrub(self)
    digestRepair = DigestRepair(self)
    if let doubt = directory.voteDoubt {
      logger.error(
        "THIS NODE CANNOT BE SURE HOW IT VOTED: it neither votes nor stands in these terms",
        metadata: ["vote.unsure.up.to.term": "\(directory.unsureUpTo)", "vote.reason": "\(doubt)"])
    }
  }

  package var configuration: NodeConfiguration { host.nodeConfiguration }
  package var store: LogStore { storeBox.withLock { $0 } }
  var fileSystem: any FileSystem { directory.fileSystem }

  /// Makes another store the node's; returns the old one.
  func swapStore(_ fresh: LogStore) -> LogStore {
    let old = storeBox.withLock { box in
      defer { box = fresh }
      return box
    }
    // It may have changed since that store was made. After the exchange: what CONFIG SET changes later, it changes here.
    fresh.compression = configuration.store.compression
    host.commits(in: fresh)
    return old
  }

  // MARK: The data path's questions

  /// The clock that decides what has expired: the master's.
  package var clock: WallClock { expiryClock.read(at: host.monotonic) }

  /// The log stands still for a handover: nothing is appended but by the reign that follows. Asked under the write lock.
  package var isHandingOver: Bool { succession.view.failover != .none }

  // MARK: Commit

  /// The commit thread wrote, and perhaps flushed, a store.
  package func committed(_ store: LogStore, _ result: CommitResult) {
    if !store.isWritable, store === self.store { disk.look(store) }
    if store.isReplica {
      replication?.upstream.durableAdvanced(durability == .fsync ? result.durable : result.written)
    } else if replication != nil {
      advanceCommit(store)
    }
    host.commitAdvanced()
    replication?.logAdvanced()
    if result.filledSegments { host.wake(.maintenance) }
  }

  @discardableResult
  func commitNow() -> CommitResult { host.commitNow() }

  /// The slaves and the master are told, and no background work of theirs goes on.
  package func stop() {
    succession.stop()
    replication.stop()
    noteEnd()
  }

  /// Its loops run nothing any more, and what holds each other lets go. For a host whose process does not end with it.
  package func dismantle() { replication.forgetStreams() }
}
