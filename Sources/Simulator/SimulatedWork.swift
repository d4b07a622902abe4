import Node

/// Gives a machine of a node's background work a place in the queue: step, rest, step.
///
/// Owned by the life of a node. A step takes a random moment, so that everything else can happen between two of them.
final class SimulatedWork {
  private let work: any BackgroundWork
  private unowned let node: NodeProcess
  /// Called after each step.
  private let stepped: () -> Void
  private var timer: EventQueue.Ticket?
  /// A step waits for its thread.
  private var isDue = false

  init(_ work: any BackgroundWork, _ node: NodeProcess, stepped: @escaping () -> Void = {}) {
    self.work = work
    self.node = node
    self.stepped = stepped
  }

  func start(afterMilliseconds milliseconds: UInt64) { rest(microseconds: milliseconds * 1000) }

  /// Ends a rest.
  func wake() {
    guard !isDue else { return }
    isDue = true
    if let timer { node.queue.cancel(timer) }
    node.background.run { self.step() }
  }

  private func step() {
    isDue = false
    let pause = work.step(now: node.monotonic)
    stepped()
    // Woken by its own step.
    if isDue { return }
    rest(microseconds: pause == 0 ? UInt64(100 + node.random.below(5000)) : pause * 1000)
  }

  private func rest(microseconds: UInt64) {
    timer = node.process.at(node.queue.now + microseconds) { [weak self] in self?.wake() }
  }
}
