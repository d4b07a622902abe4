/// Everything that will happen in a simulation, in the order of (time, when it was scheduled). The one clock of it.
///
/// Owned by a simulation, on its thread. Nothing runs at the same time as anything else: an event runs to its end.
package final class EventQueue: @unchecked Sendable {
  // Safe to share: a simulation has one thread; the nodes' code only passes references around.
  package typealias Work = () -> Void
  package struct Ticket: Hashable, Sendable {
    fileprivate let number: UInt64
    fileprivate let slot: Int
  }
  private struct Event {
    let time: UInt64
    let number: UInt64
    /// Where its work is.
    let slot: Int
  }

  /// Microseconds since the simulation began.
  package private(set) var now: UInt64 = 0
  /// Events that ran.
  package private(set) var steps = 0
  private var heap: [Event] = []
  /// Work that is scheduled, with the number of its event; 0: a free slot, or work that was cancelled.
  private var slots: [(number: UInt64, work: Work?)] = []
  private var freeSlots: [Int] = []
  private var scheduled = 0
  private var nextNumber: UInt64 = 1

  package init() {}

  package var isEmpty: Bool { scheduled == 0 }

  /// Runs `work` at `time`, or now if that is past, behind everything that was scheduled for the same moment before.
  @discardableResult
  package func at(_ time: UInt64, _ work: @escaping Work) -> Ticket {
    let number = nextNumber
    nextNumber += 1
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      slots[slot] = (number, work)
    } else {
      slot = slots.count
      slots.append((number, work))
    }
    scheduled += 1
    push(Event(time: max(time, now), number: number, slot: slot))
    return Ticket(number: number, slot: slot)
  }

  @discardableResult
  package func after(_ microseconds: UInt64, _ work: @escaping Work) -> Ticket { at(now &+ microseconds, work) }

  /// What has run already is left alone.
  package func cancel(_ ticket: Ticket) {
    guard ticket.slot < slots.count, slots[ticket.slot].number == ticket.number else { return }
    // The event keeps the slot until its time.
    slots[ticket.slot] = (0, nil)
    scheduled -= 1
  }

  /// Runs the next event if it is not later than `limit`. Otherwise the clock goes to `limit`, and the result is false.
  package func runNext(until limit: UInt64) -> Bool {
    while let first = heap.first, first.time <= limit {
      pop()
      let work = slots[first.slot].work
      slots[first.slot] = (0, nil)
      freeSlots.append(first.slot)
      guard let work else { continue }
      scheduled -= 1
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
    slots = []
    freeSlots = []
    scheduled = 0
  }

  // MARK: A binary heap

  private func isBefore(_ a: Int, _ b: Int) -> Bool {
    heap[a].time != heap[b].time ? heap[a].time < heap[b].time : heap[a].number < heap[b].number
  }

  private func push(_ event: Event) {
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
      let child = 2 * at + 1
      if child < heap.count, isBefore(child, least) { least = child }
      if child + 1 < heap.count, isBefore(child + 1, least) { least = child + 1 }
      guard least != at else { return }
      heap.swapAt(at, least)
      at = least
    }
  }
}
