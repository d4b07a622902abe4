import Core
import Node
import Replication

// SIGTERM: writes wait, slaves that follow get what there is, then the process ends.
extension Simulation {
  func stopCleanly(
    _ number: Int, downFor milliseconds: Int, whenDown: @escaping (SimulatedNode) -> Void = { _ in }
  ) {
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
      whenDown(node)
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
    perform(shutdown.step(.ordered(ShutdownOrder(timeoutMilliseconds: Self.stopMilliseconds)), now: monotonic), done)
  }

  private func perform(_ actions: [ShutdownAction], _ done: @escaping (Set<NodeID>) -> Void) {
    for action in actions {
      switch action {
      case .pauseWrites:
        pauseWrites(true)
        look(done)
      case .resumeWrites: pauseWrites(false)
      case .end(let slaves):
        commitNow()
        let isWhole = store.positions.durable == store.positions.appended
        core.stop()
        done(isWhole ? Set(slaves.filter { $0.isConnected && $0.missingRecords == 0 }.map(\.id)) : [])
      }
    }
  }

  private func look(_ done: @escaping (Set<NodeID>) -> Void) {
    process.at(queue.now + Shutdown.lookMilliseconds * 1000) { [unowned self] in
      guard case .waiting = shutdown.state else { return }
      perform(shutdown.step(.looked(core.shutdownFacts), now: monotonic), done)
      if case .waiting = shutdown.state { look(done) }
    }
  }
}
