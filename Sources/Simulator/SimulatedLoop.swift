import Core
import Node

/// One thread of a process: runs what it is given in order, one at a time, each a random moment after the other, so that
/// loops of a process meet in every order.
package final class SimulatedLoop: WorkLoop, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  package let process: SimulatedProcess
  private var random: SplitMix64
  private var tasks: [@Sendable () -> Void] = []
  private var head = 0
  private var isScheduled = false
  private var busyUntil: UInt64 = 0
  /// False for a loop that serves clients.
  private let mayBlock: Bool

  package init(process: SimulatedProcess, seed: UInt64, mayBlock: Bool = true) {
    self.process = process
    self.mayBlock = mayBlock
    random = SplitMix64(seed: seed)
    process.ended.append { [weak self] in self?.forget() }
  }

  private func forget() {
    tasks = []
    head = 0
  }

  private var queue: EventQueue { process.queue }

  package func execute(_ work: @escaping @Sendable () -> Void) {
    guard process.isAlive else { return }
    tasks.append(work)
    arm()
  }

  package func schedule(afterMilliseconds milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) {
    process.at(queue.now &+ milliseconds &* 1000) { [weak self] in self?.execute(work) }
  }

  package func every(milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) -> any Cancellable {
    let timer = Timer()
    again(milliseconds, timer, work)
    return timer
  }

  /// The thread is held up, by a disk or by a sleep: what follows waits.
  package func block(microseconds: UInt64) { busyUntil = max(busyUntil, queue.now) + microseconds }

  private func again(_ milliseconds: UInt64, _ timer: Timer, _ work: @escaping @Sendable () -> Void) {
    schedule(afterMilliseconds: milliseconds) { [weak self] in
      guard !timer.isCancelled else { return }
      work()
      self?.again(milliseconds, timer, work)
    }
  }

  private func arm() {
    guard !isScheduled, head < tasks.count else { return }
    isScheduled = true
    process.at(max(queue.now + delay(), busyUntil)) { [weak self] in self?.runOne() }
  }

  private func runOne() {
    isScheduled = false
    guard head < tasks.count else { return }
    let work = tasks[head]
    head += 1
    if head > 64, head * 2 > tasks.count {
      tasks.removeFirst(head)
      head = 0
    }
    MayBlock.forbid(!mayBlock)
    work()
    MayBlock.forbid(false)
    let busy = process.stepEnded()
    if busy > 0 { block(microseconds: busy) }
    arm()
  }

  private func delay() -> UInt64 {
    switch random.below(100) {
    case 0..<80: UInt64(1 + random.below(20))
    case 80..<97: UInt64(20 + random.below(500))
    default: UInt64(500 + random.below(5000))
    }
  }

  private final class Timer: Cancellable, @unchecked Sendable {
    // Safe to share: a simulation has one thread.
    private(set) var isCancelled = false
    func cancel() { isCancelled = true }
  }
}
