import CSupport
import Core
import LogStore
import Logging
import Node
import Synchronization

/// Background work of the server, in one thread: sealing, dropping and expiring, generations, lags and digests.
final class MaintenanceThread: @unchecked Sendable {
  // Safe to share: the thread's own state is touched by it only.
  private unowned let core: ServerCore
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<BackgroundThread?>(nil)
  private var lastSecond = Tick(milliseconds: 0)
  private var lastDigest = Tick(milliseconds: 0)
  private var lastTrim = Tick(milliseconds: 0)
  private var trimmedIndexBytes = 0

  private static let digestIntervalMilliseconds: UInt64 = 5000
  private static let trimIntervalMilliseconds: UInt64 = 3000
  private static let expiredPerRound = 2000

  init(core: ServerCore) { self.core = core }

  func start() {
    let started = BackgroundThread("pl-maintain") { [self] in
      while !stopping.load(ordering: .acquiring) {
        core.maintenance.wait(milliseconds: 100)
        round()
      }
    }
    thread.withLock { $0 = started }
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    core.maintenance.raise()
    thread.withLock { $0.take() }?.join()
  }

  private func round() {
    let now = Clocks.monotonic
    expire()
    core.maintainStore()
    core.disk.look(core.store)
    for worker in core.workers { worker.tickIfNeeded() }
    core.replication.sampleWrites()
    if now.since(lastSecond) >= 1000 {
      lastSecond = now
      core.replication.measure()
    }
    trimHeap(now)
    if now.since(lastDigest) >= Self.digestIntervalMilliseconds {
      lastDigest = now
      core.replication.sendDigest()
    }
  }

  /// A growing index leaves holes in the heap where its smaller partitions were.
  private func trimHeap(_ now: Tick) {
    guard now.since(lastTrim) >= Self.trimIntervalMilliseconds else { return }
    lastTrim = now
    let store = core.store
    store.writeLock.lock()
    let indexBytes = store.figures().indexBytes
    store.writeLock.unlock()
    guard abs(indexBytes - trimmedIndexBytes) > 8 << 20 else { return }
    trimmedIndexBytes = indexBytes
    paceline_trim_heap()
  }

  /// On a master, keys whose time is over are deleted by records in the log; a slave waits for these.
  private func expire() {
    let store = core.store
    guard core.isMaster else {
      store.writeLock.lock()
      _ = store.reviewExpiries(now: core.clock.milliseconds, limit: Self.expiredPerRound)
      store.writeLock.unlock()
      return
    }
    var examined = Self.expiredPerRound
    while examined == Self.expiredPerRound {
      store.writeLock.lock()
      var deleted = 0
      examined = 0
      if !store.isReplica, store.isWritable {
        (deleted, examined) = store.expireDue(now: core.clock.milliseconds, limit: Self.expiredPerRound)
      }
      store.writeLock.unlock()
      if deleted > 0 {
        core.expiredKeys.add(UInt64(deleted), ordering: .relaxed)
        core.appended()
      }
    }
  }
}

extension ServerCore {
  /// Seals, trims and drops what is due, and names the result in a new generation.
  func maintainStore() {
    maintaining.withLock { _ in
      let store = self.store
      guard store.directory == directory.storePath(directory.current.storeNumber) else { return }
      let result = store.maintain(neededFrom: neededFrom, rawFrom: rawFrom(store))
      disk.background(result.error)
      if result.segmentsChanged { generationIsDue.store(true, ordering: .relaxed) }
      if generationIsDue.load(ordering: .relaxed) { writeGeneration(store) }
    }
  }

  private func writeGeneration(_ store: LogStore) {
    do {
      try directory.change { store.describe(&$0) }
      try store.removeDropped(keptGenerations: directory.keptGenerations)
      lastSave.store(Clocks.wall.milliseconds / 1000, ordering: .relaxed)
      generationIsDue.store(false, ordering: .relaxed)
      disk.generation(nil)
    } catch {
      generationIsDue.store(true, ordering: .relaxed)
      disk.generation(error)
    }
  }

  /// The lowest LSN that a slave with a pin does not hold yet.
  var neededFrom: LSN { replication.pinnedLSN ?? LSN(.max) }
  /// The log that `--wal-keep` keeps for slaves that are not known yet.
  func rawFrom(_ store: LogStore) -> LSN { store.firstLSN(keeping: configuration.walKeepBytes) }

  /// Puts a compacted file in place and names it in a generation; nil when the store was replaced meanwhile.
  func install(_ job: CompactionJob, in store: LogStore) throws -> CompactionResult? {
    try maintaining.withLock { _ in
      guard store === self.store, store.directory == directory.storePath(directory.current.storeNumber) else {
        return nil
      }
      let result = try job.install()
      writeGeneration(store)
      return result
    }
  }

  /// Puts a repaired file in place and names it in a generation; false when the store was replaced meanwhile.
  func install(_ job: RepairJob, in store: LogStore) throws -> Bool {
    try maintaining.withLock { _ in
      guard store === self.store, store.directory == directory.storePath(directory.current.storeNumber) else {
        return false
      }
      try job.install()
      writeGeneration(store)
      return true
    }
  }

  /// Puts a file with restored records in place and names it in a generation; false when the store was replaced meanwhile.
  func install(_ job: RestoreJob, in store: LogStore) throws -> Bool {
    try maintaining.withLock { _ in
      guard store === self.store, store.directory == directory.storePath(directory.current.storeNumber) else {
        return false
      }
      try job.install()
      writeGeneration(store)
      return true
    }
  }

  /// A generation without a change: files that only older ones name can go.
  func writeGenerationIfCurrent(_ store: LogStore) {
    maintaining.withLock { _ in
      guard store === self.store, store.directory == directory.storePath(directory.current.storeNumber) else { return }
      writeGeneration(store)
    }
  }

  /// SAVE and BGSAVE: everything appended is on disk and a new generation names it. Off the clients' loops.
  func saveGeneration() throws {
    let result = commitNow()
    if let refusal = store.writeRefusal { throw OpenError("the log cannot be written: \(refusal)") }
    guard result.durable >= .none else { return }
    maintaining.withLock { _ in
      _ = store.maintain(neededFrom: neededFrom, rawFrom: rawFrom(store))
      writeGeneration(store)
    }
  }
}
