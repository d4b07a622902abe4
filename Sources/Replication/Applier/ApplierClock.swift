import Core

// The master's clock as the frames carry it: what decides expiry here, and what acks name.
extension Applier {
  /// An ack that says so follows what is done about it: by then this node's promise counts from now (`ReadLease`).
  mutating func noteMaster(_ last: LSN, _ header: FrameHeader, _ actions: inout [ApplierAction]) {
    heardClock = header.masterClock
    clocks.heard(header.masterClock, committed: header.committedLSN, applied: visibleLSN)
    actions.append(.masterSeen(lastLSN: last, clock: clocks.newest, age: header.masterAge))
  }

  /// What is applied here of the data that is read, or is about to be; while that is not the master's, everything.
  private var visibleLSN: LSN {
    switch state {
    case .receivingLog(let log), .swapping(let log), .inSync(let log):
      log.target == .own ? log.applyingLSN : LSN(.max)
    case .receivingDelta(let delta), .installingDelta(let delta, _): delta.applyingLSN
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest, .receivingFiles:
      LSN(.max)
    }
  }
}
