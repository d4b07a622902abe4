import Core

/// How a node ends: from the order to end until the process may. Owned by the shell, one a node; knows no socket and no
/// signal.
///
/// The shell holds writes back (they wait in their connections, none is refused), and the node stays up until every slave
/// that is connected has the end of the log on its disk and shows what is committed of it, or the time is over. Example: 5000 writes were acknowledged, the
/// slave is 4000 behind; the node ends when the slave has acknowledged the last one, after 10 s at the latest.
///
/// Invariant: after `pauseWrites` comes exactly one of `resumeWrites` (an abort) and `end`.
package struct Shutdown: Sendable {
  package private(set) var state = ShutdownState.running
  /// Every slave that was connected at some moment of the wait, as it was seen last; by id.
  private var seen: [ShutdownSlave] = []
  /// On a slave: how far its log went when the wait began. It goes on as long as its master is there.
  private var fixedGoal: ShutdownGoal?

  /// While the node waits, its host looks this often.
  package static let lookMilliseconds: UInt64 = 10

  package init() {}

  package mutating func step(_ event: ShutdownEvent, now: Tick) -> [ShutdownAction] {
    switch event {
    case .ordered(let order):
      switch state {
      case .running: return begin(order, now)
      case .waiting: return order.waits ? [] : end()
      case .ending: return []
      }
    case .looked(let facts):
      guard case .waiting(let until) = state else { return [] }
      return look(facts, until, now)
    case .abort:
      guard case .waiting = state else { return [] }
      self = Shutdown()
      return [.resumeWrites]
    }
  }

  /// nil unless the node waits for slaves; 0 when the time is over.
  package func millisecondsLeft(now: Tick) -> UInt64? {
    guard case .waiting(let until) = state else { return nil }
    return until.since(now)
  }

  private mutating func begin(_ order: ShutdownOrder, _ now: Tick) -> [ShutdownAction] {
    guard order.waits else { return end() }
    state = .waiting(until: now.advanced(by: order.timeoutMilliseconds))
    return [.pauseWrites]
  }

  private mutating func look(_ facts: ShutdownFacts, _ until: Tick, _ now: Tick) -> [ShutdownAction] {
    // A master's log can still grow by what was let in before the pause; all of that is waited for.
    let goal: ShutdownGoal
    if facts.isMaster {
      (goal, fixedGoal) = (facts.goal, nil)
    } else {
      goal = fixedGoal ?? facts.goal
      fixedGoal = goal
    }
    note(facts.slaves, goal.last)
    let isDone = !facts.isHandingOver && facts.slaves.allSatisfy(goal.isReached)
    return isDone || now >= until ? end() : []
  }

  private mutating func note(_ connected: [ConnectedSlave], _ goal: LSN) {
    for index in seen.indices {
      seen[index].isConnected = false
      seen[index].missingRecords = goal.value - min(goal.value, seen[index].durableLSN.value)
    }
    for slave in connected {
      let now = ShutdownSlave(
        id: slave.id, address: slave.address, durableLSN: slave.durableLSN,
        missingRecords: goal.value - min(goal.value, slave.durableLSN.value), isConnected: true)
      if let index = seen.firstIndex(where: { $0.id == slave.id }) { seen[index] = now } else { seen.append(now) }
    }
    seen.sort { $0.id < $1.id }
  }

  private mutating func end() -> [ShutdownAction] {
    state = .ending
    return [.end(seen)]
  }
}

package enum ShutdownState: Hashable, Sendable {
  case running
  /// Writes wait.
  case waiting(until: Tick)
  /// The process ends, nothing stops it any more.
  case ending
}

package struct ShutdownOrder: Hashable, Sendable {
  /// SHUTDOWN NOW.
  package var isNow: Bool
  /// `--shutdown-timeout`; 0 = slaves are not waited for.
  package var timeoutMilliseconds: UInt64
  package init(isNow: Bool = false, timeoutMilliseconds: UInt64) {
    self.isNow = isNow
    self.timeoutMilliseconds = timeoutMilliseconds
  }
  var waits: Bool { !isNow && timeoutMilliseconds > 0 }
}

package enum ShutdownEvent: Hashable, Sendable {
  case ordered(ShutdownOrder)
  /// The shell looked, after the pause holds on every loop, and again and again.
  case looked(ShutdownFacts)
  /// SHUTDOWN ABORT.
  case abort
}

package enum ShutdownAction: Hashable, Sendable {
  /// Writes of clients wait from here on, on every loop. Then the shell looks, until it has been told to end.
  case pauseWrites
  case resumeWrites
  /// End the process: what every slave holds that was waited for.
  case end([ShutdownSlave])
}

/// What the node knows at one moment.
package struct ShutdownFacts: Hashable, Sendable {
  package var isMaster: Bool
  /// A FAILOVER is under way: another node is about to take over.
  package var isHandingOver: Bool
  package var goal: ShutdownGoal
  package var slaves: [ConnectedSlave]
  package init(isMaster: Bool, isHandingOver: Bool = false, goal: ShutdownGoal, slaves: [ConnectedSlave]) {
    self.isMaster = isMaster
    self.isHandingOver = isHandingOver
    self.goal = goal
    self.slaves = slaves
  }
}

/// What every slave is to have before the node ends.
package struct ShutdownGoal: Hashable, Sendable {
  /// The end of this node's log: to be durable there.
  package let last: LSN
  /// What this node shows: to be applied there, so that the slave shows it too when nobody tells it any more what is
  /// committed.
  package let shown: LSN
  package init(last: LSN, shown: LSN) {
    self.last = last
    self.shown = min(shown, last)
  }
  func isReached(by slave: ConnectedSlave) -> Bool { slave.durableLSN >= last && slave.appliedLSN >= shown }
}

package struct ConnectedSlave: Hashable, Sendable {
  package let id: NodeID
  package let address: NodeAddress
  /// What it has acknowledged as durable on its connection.
  package let durableLSN: LSN
  /// And what it shows.
  package let appliedLSN: LSN
  package init(id: NodeID, address: NodeAddress, durableLSN: LSN, appliedLSN: LSN) {
    self.id = id
    self.address = address
    self.durableLSN = durableLSN
    self.appliedLSN = appliedLSN
  }
}

/// A slave at the end of the wait.
package struct ShutdownSlave: Hashable, Sendable {
  package let id: NodeID
  package let address: NodeAddress
  package let durableLSN: LSN
  /// Records of this node's log that it has not acknowledged; 0 when it has all of them.
  package var missingRecords: UInt64
  package var isConnected: Bool
}
