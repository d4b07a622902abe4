// Raw memory: a mutex at a fixed address.
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Proof that its holder has a store's write lock. Functions that change the log or the index ask for it, so a caller without
/// the lock does not compile. It takes no memory and cannot be copied; only `WriteLock` makes one, and takes it back.
public struct WriteAccess: ~Copyable {
  fileprivate init() {}
  /// Given back without `unlock`: the lock would be held for ever.
  deinit { Self.trap() }
  private static func trap() { preconditionFailure("the write lock was not given back") }
  fileprivate consuming func end() { discard self }

  /// Runs `body` with access to a store that no other thread knows yet: at a start, and in `init`.
  static func toUnsharedStore<Result: ~Copyable, Failure: Error>(
    _ body: (borrowing WriteAccess) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let access = WriteAccess()
    let result: Result
    do throws(Failure) { result = try body(access) } catch {
      access.end()
      throw error
    }
    access.end()
    return result
  }
}

/// A mutex. Most callers use `LogStore.withWriteLock`. `lock` and `unlock` are for a stretch of code that several values come
/// out of and that nothing leaves in the middle, and for what takes the lock in one function and gives it back in another: a
/// batch of commands (`KeyAccess`).
public final class WriteLock: @unchecked Sendable {
  // Safe to share: it is a mutex, and an atomic.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  /// Odd while the lock is held: what is read between two looks at the same even number, no writer has touched meanwhile.
  private let version = Atomic<UInt64>(0)
  public init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let code = pthread_mutex_init(mutex, nil)
    precondition(code == 0, "pthread_mutex_init failed with \(code)")
  }
  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Waits for the lock. What comes back must be given to `unlock`.
  public func lock() -> WriteAccess {
    pthread_mutex_lock(mutex)
    version.store(version.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    return WriteAccess()
  }
  public func unlock(_ access: consuming WriteAccess) {
    access.end()
    version.store(version.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    pthread_mutex_unlock(mutex)
  }

  /// Reads what writers change: between two of their turns. Without the lock if none of them comes, else with it. `body` may
  /// run several times, and beside a writer; only its last result counts. Not for who holds the lock.
  public func betweenWriters<Result>(_ body: () -> Result) -> Result {
    for _ in 0..<3 {
      let before = version.load(ordering: .acquiring)
      if before & 1 == 1 { break }
      let result = body()
      atomicMemoryFence(ordering: .acquiring)
      if version.load(ordering: .relaxed) == before { return result }
    }
    let access = lock()
    let result = body()
    unlock(access)
    return result
  }

  /// Returns when what a writer was doing at the time of the call is complete. Not for who holds the lock.
  public func waitForWriter() {
    guard version.load(ordering: .acquiring) & 1 == 1 else { return }
    unlock(lock())
  }
}

extension LogStore {
  /// Runs `body` while no other thread writes. Not for who holds the lock, and not across IO.
  public func withWriteLock<Result: ~Copyable, Failure: Error>(
    _ body: (borrowing WriteAccess) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let access = writeLock.lock()
    let result: Result
    do throws(Failure) { result = try body(access) } catch {
      writeLock.unlock(access)
      throw error
    }
    writeLock.unlock(access)
    return result
  }
}
