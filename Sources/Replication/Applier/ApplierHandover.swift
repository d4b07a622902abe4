import Core

// The applier when its master hands over.

extension Applier {
  /// Refuses at once what it can never do; else the order waits until the records before it are visible.
  mutating func handover(_ header: FrameHeader, _ order: HandoverOrder) throws(ReplicationError) {
    guard case .inSync(var log) = state, let local else { throw unexpected(.handover) }
    guard order.masterID == masterID else {
      throw ReplicationError(
        .handoverRefused, "the handover is of \(order.masterID), this node follows \(masterID?.description ?? "nobody")"
      )
    }
    let known = max(local.knownReign.term, log.check.term)
    guard order.term > known else {
      throw ReplicationError(
        .staleTerm, "the handover is to term \(order.term), this node knows of term \(known)")
    }
    guard log.durableLSN >= order.lastLSN else {
      throw ReplicationError(
        .handoverRefused, "the handover is at LSN \(order.lastLSN), this node has up to LSN \(log.durableLSN) on disk")
    }
    log.committedLSN = max(log.committedLSN, header.committedLSN)
    // By force the master gives up what is not committed; the new one commits it, or not, in its own term.
    guard order.isForced || log.committedLSN >= order.lastLSN else {
      throw ReplicationError(
        .handoverRefused,
        "the handover is at LSN \(order.lastLSN), the master says that LSN \(log.committedLSN) is committed")
    }
    state = .inSync(log)
    pendingHandover = order
  }

  mutating func advanceHandover(_ actions: inout [ApplierAction]) {
    guard let order = pendingHandover, case .inSync(let log) = state,
      log.appliedLSN >= min(order.lastLSN, log.committedLSN)
    else { return }
    pendingHandover = nil
    actions.append(.takeOver(order))
  }
}
