/// One life of a process: its work runs only while it is alive and not stopped.
///
/// Owned by the node or client that runs in it. A restart is a new process.
package final class SimulatedProcess: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  package let queue: EventQueue
  package private(set) var isAlive = true
  package private(set) var isPaused = false
  private var heldBack: [EventQueue.Work] = []
  /// What lets go of the process's work when it ends.
  var ended: [() -> Void] = []
  /// After every piece of work: the disk may have taken time, or may have stopped in the middle of it. Returns for how
  /// many microseconds the loop that did the work is busy with it.
  package var stepEnded: () -> UInt64 = { 0 }

  package init(queue: EventQueue) { self.queue = queue }

  /// Runs `work` at a time; never if the process is dead then, later if it is stopped then.
  @discardableResult
  package func at(_ time: UInt64, _ work: @escaping EventQueue.Work) -> EventQueue.Ticket {
    queue.at(time) { [weak self] in self?.run(work) }
  }

  private func run(_ work: @escaping EventQueue.Work) {
    guard isAlive else { return }
    if isPaused { heldBack.append(work) } else { work() }
  }

  /// Ends in the middle of a piece of work: what is left of it reaches neither disk nor network. `kill` is to follow.
  package func halt() { isAlive = false }

  package func kill() {
    isAlive = false
    heldBack = []
    for end in ended { end() }
    ended = []
  }

  /// SIGSTOP: clocks and the network go on.
  package func pause() { isPaused = true }

  /// SIGCONT: what became due meanwhile runs now, in its order.
  package func resume() {
    guard isPaused else { return }
    isPaused = false
    let due = heldBack
    heldBack = []
    for work in due { queue.at(queue.now) { [weak self] in self?.run(work) } }
  }
}
