import Core
import Node

// What an operator orders.
extension Simulation {
  /// PROMOTE on a slave.
  ///
  /// - Parameter knowsRowOfOld: also one that has not heard of its master since it was started, but knows the others.
  /// - Parameter knowsThatItHoldsMost: the operator has looked, and the node need know nobody.
  func promote(_ number: Int, knowsRowOfOld: Bool = false, knowsThatItHoldsMost: Bool = false) {
    let node = nodes[number]
    // One that never had data has nothing to be master of, and knows of nobody to be told.
    guard node.isAlive, !node.isPaused, let life = node.life, !life.core.isMaster,
      life.store.positions.applied > .none || knowsThatItHoldsMost,
      life.core.replication.upstream.view.slaves != nil || knowsRowOfOld && !life.core.replication.slaves.isEmpty
        || knowsThatItHoldsMost
    else { return }
    // By force an operator gives up what a quorum acknowledged, and says so at each node that holds it.
    let isForced = plan.level == .async && random.chance(50) && !plan.mixesLevels
    life.core.succession.promote(force: isForced) { reason in
      node.log(reason.map { "was not promoted: \($0)" } ?? "was promoted")
    }
  }

  /// FAILOVER on the master.
  func handOver(to number: Int) {
    let node = nodes[masterNumber]
    guard number != masterNumber, node.isAlive, !node.isPaused, let life = node.life, life.core.isMaster else { return }
    life.core.succession.failOver(to: SimulatedNode.address(number), timeoutMilliseconds: 2000, force: false) {
      reason in
      node.log(reason.map { "did not hand over: \($0)" } ?? "handed over")
    }
  }
}
