import Node
import Synchronization

/// Gives a machine of background work a thread of its own: step, rest, step.
final class WorkThread: Sendable {
  private let name: String
  private let work: any BackgroundWork
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<BackgroundThread?>(nil)
  private let wish = Signal()

  init(_ name: String, _ work: any BackgroundWork) {
    self.name = name
    self.work = work
  }

  func start() {
    let started = BackgroundThread(name) { [self] in
      while !stopping.load(ordering: .acquiring) {
        let pause = work.step(now: Clocks.monotonic)
        if pause > 0 { wish.wait(milliseconds: Int(clamping: pause)) }
      }
      work.end()
    }
    thread.withLock { $0 = started }
  }

  /// Ends a rest: there may be work.
  func wake() { wish.raise() }

  /// Returns when the step that runs is done.
  func stop() {
    stopping.store(true, ordering: .releasing)
    wish.raise()
    thread.withLock { $0.take() }?.join()
  }
}
