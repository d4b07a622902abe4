// Raw memory: a POSIX thread and a condition variable.
import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A named thread that runs one closure to its end.
final class BackgroundThread: @unchecked Sendable {
  // Safe to share: the handle is written once, before the thread can be joined.
  private var handle = pthread_t()
  private final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  init(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let start = Unmanaged.passRetained(Start(name, body))
    let code = pthread_create(
      &handle, nil,
      { argument in
        let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        paceline_name_thread(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    precondition(code == 0, "cannot start the thread \(name): error \(code)")
  }
  func join() { pthread_join(handle, nil) }

  /// Runs `body(0..<count)` on as many threads and waits for all.
  static let parallel: @Sendable (Int, @escaping @Sendable (Int) -> Void) -> Void = { count, body in
    let threads = (0..<count).map { i in BackgroundThread("pl-load-\(i)") { body(i) } }
    for thread in threads { thread.join() }
  }
}

/// A flag that one thread waits for and any thread raises.
final class Signal: @unchecked Sendable {
  // Safe to share: guarded by its mutex.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var raised = false

  init() {
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    #if canImport(Darwin)
      pthread_cond_init(condition, nil)
    #else
      // Waits go by the monotonic clock: a wall clock that is set back by a day would stop the thread for a day.
      var attributes = pthread_condattr_t()
      pthread_condattr_init(&attributes)
      let code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      precondition(code == 0, "no condition that waits by the monotonic clock: error \(code)")
      pthread_cond_init(condition, &attributes)
      pthread_condattr_destroy(&attributes)
    #endif
  }
  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func raise() {
    pthread_mutex_lock(mutex)
    let wake = !raised
    raised = true
    if wake { pthread_cond_signal(condition) }
    pthread_mutex_unlock(mutex)
  }

  /// Waits until it is raised or the time is over, and takes it down. Returns whether it was raised.
  @discardableResult
  func wait(milliseconds: Int) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if !raised {
      var until = timespec()
      #if canImport(Darwin)
        clock_gettime(CLOCK_REALTIME, &until)
      #else
        clock_gettime(CLOCK_MONOTONIC, &until)
      #endif
      let nanoseconds = until.tv_nsec + (milliseconds % 1000) * 1_000_000
      until.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
      until.tv_nsec = nanoseconds % 1_000_000_000
      while !raised {
        if pthread_cond_timedwait(condition, mutex, &until) != 0 { break }
      }
    }
    defer { raised = false }
    return raised
  }
}
