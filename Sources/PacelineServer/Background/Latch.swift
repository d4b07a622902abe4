import Synchronization

/// Counts down to zero from several threads.
final class Latch: Sendable {
  private let left: Atomic<Int>
  init(count: Int) { left = Atomic(count) }
  var isOpen: Bool { left.load(ordering: .acquiring) <= 0 }
  func countDown(_ signal: Signal) {
    if left.subtract(1, ordering: .acquiringAndReleasing).newValue <= 0 { signal.raise() }
  }
}
