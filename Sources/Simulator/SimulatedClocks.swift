// Raw memory: looks keys up where their bytes lie.
import Core
import LogStore
import Node

// Keys with a time to live while clocks are set: the master's clock decides, and slaves show what it shows.
extension Simulation {
  /// Until a slave has heard of the master's clock after a step of it, or of a new master's.
  private static let graceMicroseconds: UInt64 = 3_000_000
  /// A slave's own clock says nothing about keys.
  private static let ownGraceMicroseconds: UInt64 = 200_000
  private static let roundMicroseconds: UInt64 = 20_000
  /// How far from its end a key must be to be surely alive, or surely gone.
  private static let marginMilliseconds: UInt64 = 500
  private static let reclaimMilliseconds: UInt64 = 4000

  func stepClock(of number: Int, by milliseconds: Int64) {
    let node = nodes[number]
    node.wallOffset += milliseconds
    node.clockSteppedAt = queue.now
  }

  func watchClocks() {
    guard plan.stepsClocks else { return }
    queue.after(Self.roundMicroseconds) { [unowned self] in
      for node in nodes { noteSync(node) }
      checkHidden()
      watchClocks()
    }
  }

  private func noteSync(_ node: SimulatedNode) {
    let isInSync = node.isAlive && !node.isPaused && node.life?.core.replication.upstream.view.isInSync == true
    if !isInSync || node.number == masterNumber { node.inSyncSince = queue.now }
  }

  /// What lives on the master, and has reached a slave, is to be seen there.
  private func checkHidden() {
    let site = nodes[masterNumber]
    guard let master = site.life, site.isAlive, !site.isPaused, site.isServing, master.core.isMaster,
      queue.now >= reignSince + Self.graceMicroseconds,
      queue.now >= site.clockSteppedAt + Self.graceMicroseconds || site.clockSteppedAt == 0,
      queue.now >= expiryStepped(site, master) + Self.graceMicroseconds
    else { return }
    for node in nodes where node.number != masterNumber {
      guard let slave = node.life, node.isAlive, !node.isPaused, !slave.core.isMaster,
        queue.now >= node.inSyncSince + Self.graceMicroseconds,
        queue.now >= node.clockSteppedAt + Self.ownGraceMicroseconds || node.clockSteppedAt == 0
      else { continue }
      for key in written.keys where SimulatedKey.mayExpire(key) {
        // A master whose clock was set back follows it when it can delete what had expired: by then its own clock counts.
        let now = max(site.wall, master.core.clock).milliseconds
        guard let record = master.stored(key), record.expiry > now + Self.marginMilliseconds,
          slave.store.positions.applied >= record.lsn, slave.value(of: key) == nil,
          slave.store.terms.reign(of: record.lsn) == master.store.terms.reign(of: record.lsn)
        else { continue }
        report(
          Violation(
            "hidden on a slave",
            "\(key) of LSN \(record.lsn) lives for \(record.expiry - now) ms on the master, node \(node.number) does not show it; its clock is \(slave.core.clock.milliseconds), the master's \(site.wall.milliseconds)"
          ))
      }
    }
  }

  /// When the master's clock for expiries was seen to step last: after its wall clock was set back it follows when all is
  /// deleted that had expired, and slaves hear of that by the next frames.
  private func expiryStepped(_ site: SimulatedNode, _ master: NodeProcess) -> UInt64 {
    let offset = Int64(clamping: master.core.clock.milliseconds) - Int64(clamping: queue.now / 1000)
    if abs(offset - site.expiryOffset) > 50 { site.expirySteppedAt = queue.now }
    site.expiryOffset = offset
    return site.expirySteppedAt
  }

  /// What has expired goes, whatever the clock did before.
  func checkReclaimed() {
    guard plan.stepsClocks, let master = nodes[masterNumber].life else { return }
    let now = nodes[masterNumber].wall.milliseconds
    for key in written.keys where SimulatedKey.mayExpire(key) {
      guard let record = master.stored(key), record.expiry > 0, record.expiry + Self.reclaimMilliseconds < now else {
        continue
      }
      report(
        Violation("expired and not reclaimed", "\(key) of LSN \(record.lsn), expired \(now - record.expiry) ms ago"))
    }
  }
}

extension NodeProcess {
  /// The record of a key, expired or not.
  func stored(_ key: String) -> (lsn: LSN, expiry: UInt64)? {
    let worker = workers[0]
    worker.beginBatch(forwarding: false)
    defer { worker.endBatch() }
    return Array(key.utf8).withUnsafeBytes { bytes in
      guard case .found(let record) = store.find(store.table(SimulatedKey.database(key)), store.hash(bytes), bytes)
      else {
        return nil
      }
      return (LSN(record.lsn), record.flags & RecordFlag.expiry != 0 ? record.expiry : 0)
    }
  }
}
