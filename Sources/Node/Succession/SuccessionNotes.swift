import Core
import Logging
import Replication

// What an operator reads in the log about changes of the role.
extension Succession {
  func log(_ note: ReignNote) {
    switch note {
    case .masterFound(let master):
      logger.notice("another node is the master now", metadata: ["replication.master": "\(master)"])
    case .newMaster(let master, let term):
      logger.notice(
        "there is a new master", metadata: ["replication.master": "\(master)", "replication.term": "\(term)"])
    case .rowHasMaster(let master):
      logger.notice("the row of its peers has a master", metadata: ["replication.master": "\(master)"])
    case .joinWaits(let text):
      logger.warning("this node waits before it joins its row", metadata: ["peers.state": "\(text)"])
    case .majorityAsked: logger.notice("a majority of the voters is asked before this node takes writes")
    case .madeWay(let reign):
      logger.notice(
        "this node made way for another master before it ended: it is looked for",
        metadata: ["replication.term": "\(reign.term)"])
    case .longerNode(let node):
      logger.error(
        "ANOTHER NODE HOLDS MORE OF THE LOG: this node does not reign. Is its data directory an older one?",
        metadata: ["replication.node": "\(node.address)", "replication.last": "\(node.last)"])
    case .longerNodeSilent(let nodes):
      logger.warning(
        "the node that held more of the log does not answer: bring it up, or PROMOTE one that does",
        metadata: ["replication.nodes": "\(nodes)"])
    case .nobodyHolds(let wanted, let nodes):
      logger.warning(
        "no node that answers holds all that this one held: PROMOTE one, or wait for another",
        metadata: ["log.reached": "\(wanted)", "replication.nodes": "\(nodes)"])
    case .deposed(let term, let node):
      logger.error(
        "THIS NODE IS NO MASTER ANY MORE: another one was made in a newer term",
        metadata: ["replication.term": "\(term)", "replication.told.by": "\(node)"])
    case .goesAbove(let term):
      logger.notice(
        "a former master follows this node: a newer term begins", metadata: ["replication.term": "\(term)"])
    case .slaveHoldsMore(let slave):
      logger.error(
        "A SLAVE HOLDS MORE OF THE LOG, and nothing was written here since the start: this node is no master any more",
        metadata: ["replication.slave.address": "\(slave)"])
    case .noRoom(let why):
      logger.error(
        "no room to begin a reign: reads are answered, writes are refused until there is",
        metadata: ["disk.error": "\(why)"])
    case .orderUndone(let target, let why):
      core.replicaOfError.withLock { $0 = why }
      logger.error(
        "REPLICAOF LED NOWHERE: the old role comes back",
        metadata: ["replication.master": "\(target)", "replication.reason": "\(why)"])
    case .ring(let nodes):
      logger.error(
        "A RING WITHOUT A MASTER: each of these nodes follows the next, the last this one. It holds the newest log and breaks it",
        metadata: ["replication.nodes": "\(nodes.map(\.description).joined(separator: ", "))"])
    case .handedOver(let term): logger.notice("the master hands over", metadata: ["replication.term": "\(term)"])
    case .handoverEnded(let why): logger.warning("handover ended", metadata: ["replication.reason": "\(why)"])
    case .notBegun(let why): logger.error("the new term could not be begun", metadata: ["error": "\(why)"])
    }
  }

  func log(_ reign: Beginning, _ first: LSN) {
    let metadata: Logger.Metadata = ["replication.term": "\(reign.term)", "replication.first.lsn": "\(first)"]
    switch reign.occasion {
    case .start, .restart, .outdone: logger.info("a reign has begun", metadata: metadata)
    case .room: logger.notice("there is room again: this node's reign has begun", metadata: metadata)
    case .rowBegun:
      logger.notice(
        "this node begins the row: it is the first of its peers, and those that answer are empty", metadata: metadata)
    case .promoted, .forced, .handedOver, .alone, .returned, .reclaimed, .orderUndone, .ringBroken:
      logger.notice("this node is the master now", metadata: metadata)
    }
  }

  func log(_ facts: PromotionFacts) {
    logger.info(
      "asking to be master",
      metadata: [
        "replication.last": "\(facts.last)", "replication.term.known": "\(facts.knownTerm)",
        "commit.level": "\(facts.level)", "replication.forced": "\(facts.isForced)",
        "replication.nodes":
          "\(facts.nodes.map { $0.isMaster ? "\($0.address) (master)" : "\($0.address)" }.joined(separator: ", "))",
      ])
  }
}
