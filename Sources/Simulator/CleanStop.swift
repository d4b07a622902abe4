import Core
import Node
import Replication

// SIGTERM: writes wait, slaves that follow get what there is, then the process ends.
extension Simulation {
  func stopCleanly(_ number: Int, downFor milliseconds: Int) {
    let node = nodes[number]
    guard node.isAlive, !node.isPaused, node.isServing, let life = node.life, !life.isStopping else { return }
    node.log("is told to stop")
    life.stopCleanly { [unowned self, unowned node] followers in
      guard node.life === life, node.isAlive else { return }
      if !followers.isEmpty, life.core.isMaster, let reign = life.store.terms.last {
        cleanStops.append(CleanStop(reign: reign, last: life.store.positions.durable, followers: followers))
      }
      node.log("stops")
      node.kill()
      queue.after(UInt64(milliseconds) * 1000) { node.start() }
    }
  }

  /// A node begins a reign: if the master before it was stopped cleanly, and this one followed, it holds all of it.
  func checkCleanStop(
    before reign: TermHistory.Entry, by node: SimulatedNode, common: LSN, after old: TermHistory.Entry?
  ) {
    guard plan.durability == .fsync, let own = node.directory?.node,
      let stop = cleanStops.last(where: { $0.reign == old && $0.followers.contains(own) }), common < stop.last
    else { return }
    report(
      Violation(
        "lost by a clean stop",
        "node \(node.number) begins \(reign.reign) at \(reign.firstLSN) and has the log before it up to \(common), not to \(stop.last)"
      ))
  }
}

/// A master that was stopped, and who had all of its log then.
struct CleanStop {
  let reign: TermHistory.Entry
  let last: LSN
  let followers: Set<NodeID>
}

extension NodeProcess {
  /// `--shutdown-timeout`.
  private static let stopMilliseconds: UInt64 = 10_000

  /// Calls `done` when the process may end, with the slaves that hold all of the log.
  func stopCleanly(then done: @escaping (Set<NodeID>) -> Void) {
    isStopping = true
    if core.isMaster { pauseWrites(true) }
    commitNow()
    awaitSlaves(until: queue.now + Self.stopMilliseconds * 1000, done)
  }

  private func awaitSlaves(until deadline: UInt64, _ done: @escaping (Set<NodeID>) -> Void) {
    let last = store.positions.appended
    let following = core.replication.slaves.filter { $0.state.link != nil }
    let equal = following.filter { $0.ack.durableLSN >= last }
    guard core.isMaster, equal.count < following.count, queue.now < deadline else {
      commitNow()
      let holders = store.positions.durable == last ? Set(equal.map(\.id)) : []
      core.stop()
      return done(holders)
    }
    process.at(queue.now + 10_000) { [unowned self] in awaitSlaves(until: deadline, done) }
  }
}
