import Core
import Replication

extension NodeCore {
  /// What `Shutdown` is told when its host looks.
  package var shutdownFacts: ShutdownFacts {
    // The slaves first: a log that goes on meanwhile makes the answer later, never wrong.
    let slaves = replication.slaves.filter { $0.state.link != nil }.map {
      ConnectedSlave(
        id: $0.id, address: $0.address, durableLSN: $0.ack.durableLSN, appliedLSN: $0.ack.appliedLSN)
    }
    let positions = store.positions
    return ShutdownFacts(
      isMaster: isMaster, isHandingOver: isHandingOver,
      goal: ShutdownGoal(last: positions.appended, shown: min(positions.committed, positions.durable)), slaves: slaves)
  }
}
