import Synchronization

/// A thread that does its own rounds and, when asked, a whole pass with a report: compaction and scrub.
final class BackgroundWorker<Report: Sendable>: Sendable {
  private let name: String
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<BackgroundThread?>(nil)
  private let wish = Signal()
  private let requests = Mutex<[@Sendable (Report) -> Void]>([])

  private let idleMilliseconds = 500

  init(_ name: String) { self.name = name }

  /// Somebody waits for a pass.
  var isAsked: Bool { requests.withLock { !$0.isEmpty } }
  var isStopping: Bool { stopping.load(ordering: .acquiring) }

  /// - Parameters:
  ///   - pass: everything at once, for those who asked; when the server ends, `unfinished` answers them.
  ///   - round: one piece of work; true if there may be more at once.
  func start(
    pass: @escaping @Sendable () -> Report, unfinished: @escaping @Sendable () -> Report,
    round: @escaping @Sendable () -> Bool
  ) {
    let started = BackgroundThread(name) { [self] in
      while !isStopping {
        let asked = takeRequests()
        if !asked.isEmpty {
          let report = pass()
          for done in asked { done(report) }
        } else if !round() {
          rest(milliseconds: idleMilliseconds)
        }
      }
      for done in takeRequests() { done(unfinished()) }
    }
    thread.withLock { $0 = started }
  }

  private func takeRequests() -> [@Sendable (Report) -> Void] {
    requests.withLock { requests in
      defer { requests = [] }
      return requests
    }
  }

  /// Asks for a pass, off the caller's thread; then `done` is called.
  func ask(_ done: @escaping @Sendable (Report) -> Void) {
    requests.withLock { $0.append(done) }
    wish.raise()
  }

  /// Ends a wait: there may be work.
  func wake() { wish.raise() }

  /// Waits, unless somebody asks or the server ends.
  func rest(milliseconds: Int) { wish.wait(milliseconds: milliseconds) }

  func stop() {
    stopping.store(true, ordering: .releasing)
    wish.raise()
    thread.withLock { $0.take() }?.join()
  }
}
