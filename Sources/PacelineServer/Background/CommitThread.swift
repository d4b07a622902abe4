import Core
import LogStore
import Node
import Synchronization

/// The one thread that writes and syncs the log.
///
/// With `fsync` it commits as soon as there is something, everything that was appended while the last commit ran at
/// once: the commits make their own batches. Otherwise it writes out about every millisecond, and syncs now and then.
final class CommitThread: @unchecked Sendable {
  // Safe to share: the signal and the atomics; `store` changes under its mutex.
  private let signal = Signal()
  /// Never raised but by `stop`: only waited for.
  private let gathering = Signal()
  private let stopping = Atomic<Bool>(false)
  private let store: Mutex<LogStore>
  let durability: Durability
  /// How long written records may stay unsynced; nil: not at all.
  private let syncPause: UInt64?
  private let onBegin: @Sendable (LogStore) -> Void
  private let onCommit: @Sendable (LogStore, CommitResult) -> Void
  private let thread = Mutex<BackgroundThread?>(nil)
  /// Held during a commit: whoever takes it knows that none runs.
  private let committing = Mutex<Void>(())

  init(
    store: LogStore, durability: Durability, intervalMilliseconds: Int,
    onBegin: @escaping @Sendable (LogStore) -> Void, onCommit: @escaping @Sendable (LogStore, CommitResult) -> Void
  ) {
    self.onBegin = onBegin
    self.store = Mutex(store)
    self.durability = durability
    syncPause = durability.syncPauseMilliseconds(interval: intervalMilliseconds)
    self.onCommit = onCommit
    let started = BackgroundThread("pl-commit") { [unowned self] in run() }
    thread.withLock { $0 = started }
  }

  /// Something was appended. Event loops call it once at the end of a round over their connections, so that one commit
  /// takes what the whole round wrote.
  func wake() { signal.raise() }

  func use(_ other: LogStore) {
    committing.withLock { _ in store.withLock { $0 = other } }
    signal.raise()
  }

  /// Runs while no commit does.
  func between<Result>(_ body: () throws -> Result) rethrows -> Result {
    MayBlock.check("wait for a commit")
    return try committing.withLock { _ in try body() }
  }

  /// Writes and syncs everything that is appended now.
  @discardableResult
  func flush() -> CommitResult { commit(sync: true) }

  private func commit(sync: Bool) -> CommitResult {
    MayBlock.check("commit")
    let (current, result) = committing.withLock { _ in
      let current = store.withLock { $0 }
      return (current, current.commit(sync: sync))
    }
    onCommit(current, result)
    return result
  }

  private func run() {
    var lastSync = Clocks.monotonic
    var isMarked = true
    while !stopping.load(ordering: .acquiring) {
      let asked = signal.wait(milliseconds: waitMilliseconds(store.withLock { $0 }))
      let current = store.withLock { $0 }
      // Where there is no room for a new segment, nothing may wait for it, and nothing new is let in: it is tried again.
      let isFull = if case .noSpace? = current.writeRefusal { true } else { false }
      let hasWork =
        current.positions.written < current.positions.appended || needsSync(current, since: lastSync) || isFull
      if !hasWork {
        // Quiet for a while: a mark behind the last record says that all of it is synced, so that damage there is
        // told from a torn tail.
        if !asked, !isMarked, durability == .fsync {
          _ = commit(sync: true)
          isMarked = true
        }
        continue
      }
      isMarked = false
      onBegin(current)
      let sync = durability == .fsync || needsSync(current, since: lastSync)
      let result = commit(sync: sync)
      if sync { lastSync = Clocks.monotonic }
      if result.blocked {
        pause(milliseconds: 200)
      } else if durability != .fsync {
        // Gathers what comes within a millisecond into one write.
        pause(milliseconds: 1)
      }
    }
  }

  /// Waits; what was asked for meanwhile is done afterwards.
  private func pause(milliseconds: Int) {
    if signal.wait(milliseconds: milliseconds) {
      gathering.wait(milliseconds: milliseconds)
      signal.raise()
    }
  }

  private func needsSync(_ store: LogStore, since lastSync: Tick) -> Bool {
    guard let syncPause, store.positions.durable < store.positions.appended else { return false }
    return Clocks.monotonic.since(lastSync) >= syncPause
  }

  private func waitMilliseconds(_ store: LogStore) -> Int {
    guard let syncPause, store.positions.durable < store.positions.appended else { return 1000 }
    return Int(min(1000, max(1, syncPause / 2)))
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    signal.raise()
    gathering.raise()
    thread.withLock { $0.take() }?.join()
    flush()
  }
}
