/// Everything that will happen in a simulation, in the order of (time, when it was scheduled). The one clock of it.
///
/// Owned by a simulation, on its thread. Nothing runs at the same time as anything else: an event runs to its end.
package final class EventQueue: @unchecked Sendable {
  // Safe to share: a simulation has one thread; the nodes' code only passes references around.
  package typealias Work = () -> Void
  package struct Ticket: Hashable, Sendable {
    fileprivate let number: UInt64
  }

  /// Microseconds since the simulation began.
  package private(set) var now: UInt64 = 0
  /// Events that ran.
  package private(set) var steps = 0
  private var heap: [(time: UInt64, number: UInt64)] = []
  private var work: [UInt64: Work] = [:]
  private var nextNumber: UInt64 = 1

  package init() {}

  package var isEmpty: Bool { work.isEmpty }

  /// Runs `work` at `time`, or now if that is past, behind everything that was scheduled for the same moment before.
  @discardableResult
  package func at(_ time: UInt64, _ work: @escaping Work) -> Ticket {
    let number = nextNumber
    nextNumber += 1
    self.work[number] = work
    push((max(time, now), number))
    return Ticket(number: number)
  }

  @discardableResult
  package func after(_ microseconds: UInt64, _ work: @escaping Work) -> Ticket { at(now &+ microseconds, work) }

  /// What has run already is left alone.
  package func cancel(_ ticket: Ticket) { work[ticket.number] = nil }

  /// Runs the next event if it is not later than `limit`. Otherwise the clock goes to `limit`, and the result is false.
  package func runNext(until limit: UInt64) -> Bool {
    while let first = heap.first, first.time <= limit {
      pop()
      guard let work = work.removeValue(forKey: first.number) else { continue }
      now = first.time
      steps += 1
      work()
      return true
    }
    now = max(now, limit)
    return false
  }

  /// Nothing that is scheduled will run.
  package func removeAll() {
    heap = []
    work = [:]
  }

  // MARK: A binary heap

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
  }

  private func push(_ event: (time: UInt64, number: UInt64)) {
    heap.append(event)
    var at = heap.count - 1
    while at > 0, isBefore(at, (at - 1) / 2) {
      heap.swapAt(at, (at - 1) / 2)
      at = (at - 1) / 2
    }
  }

  private func pop() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var at = 0
    while true {
      var least = at
      for child in [2 * at + 1, 2 * at + 2] where child < heap.count && isBefore(child, least) { least = child }
      guard least != at else { return }
      heap.swapAt(at, least)
      at = least
    }
  }
}
