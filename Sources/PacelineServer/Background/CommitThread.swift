import Core
import LogStore
import Node
import Synchronization

/// The one thread that writes and syncs the log, when `CommitSchedule` says so.
final class CommitThread: @unchecked Sendable {
  // Safe to share: the signals and the atomics; `store` changes under its mutex; `schedule` is the thread's own.
  private let signal = Signal()
  /// Never raised but by `stop`: only waited for.
  private let gathering = Signal()
  private let stopping = Atomic<Bool>(false)
  private let store: Mutex<LogStore>
  private var schedule: CommitSchedule
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
    schedule = CommitSchedule(durability, intervalMilliseconds: intervalMilliseconds, now: Clocks.monotonic)
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
  func flush() -> CommitResult { commit(flush: true) }

  private func commit(flush: Bool) -> CommitResult {
    MayBlock.check("commit")
    let (current, result) = committing.withLock { _ in
      let current = store.withLock { $0 }
      return (current, current.commit(flush: flush))
    }
    onCommit(current, result)
    return result
  }

  private func run() {
    while !stopping.load(ordering: .acquiring) {
      let pause = schedule.waitMilliseconds(LogProgress(store.withLock { $0 }))
      let isAsked = signal.wait(milliseconds: Int(pause))
      let current = store.withLock { $0 }
      switch schedule.next(LogProgress(current), isAsked: isAsked, now: Clocks.monotonic) {
      case .nothing: break
      case .mark: _ = commit(flush: true)
      case .commit(let flush):
        onBegin(current)
        let result = commit(flush: flush)
        let rest = schedule.done(flush: flush, isBlocked: result.blocked, now: Clocks.monotonic)
        if rest > 0 { self.pause(milliseconds: Int(rest)) }
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

  func stop() {
    stopping.store(true, ordering: .releasing)
    signal.raise()
    gathering.raise()
    thread.withLock { $0.take() }?.join()
    flush()
  }
}
