import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Repairs what the digests found different on a slave, while both nodes go on: asks the master for the sums of all partitions
/// at the digest's LSN, compares the records of those that differ, and changes only what differs.
///
/// A record that is missing from the index is looked for in this node's own log first; what the log has not, or has
/// otherwise, comes from the master and is put into the log before the index points at it (`PartitionRepair`).
package final class DigestRepair: BackgroundWork, @unchecked Sendable {
  // Safe to share: one thread makes the steps and owns `run`; what others touch is behind mutexes.
  private unowned let node: NodeCore
  private let request = Mutex<Request?>(nil)
  private let figures = Mutex(Figures())
  private var run: Run?

  /// A difference, with this node's sums at its LSN.
  private struct Request {
    let lsn: LSN
    let own: [Int: PartitionSums]
    let store: LogStore
  }
  package struct Figures: Sendable {
    package fileprivate(set) var isRepairing = false
    package fileprivate(set) var repairs = 0
    package fileprivate(set) var records = 0
    package fileprivate(set) var bytes = 0
    package fileprivate(set) var error = ""
  }
  private struct Run {
    let lsn: LSN
    let store: LogStore
    let master: NodeAddress
    let peer: PeerRecords
    let began: Tick
    var databases: ArraySlice<(database: Int, own: PartitionSums)>
    /// Of the present database, still to be repaired.
    var partitions: ArraySlice<Int> = []
    var phase = Phase.next
    var records = 0
    var repaired = 0
    var fetchedBytes = 0
    var bytesReceived: Int { peer.bytesReceived + fetchedBytes }
  }
  private enum Phase {
    case next
    /// The master was asked for the sums of the first of `databases`.
    case sums
    case partition(PartitionRepair)
    /// The live records of a partition are to be counted anew.
    case recount(Int, changed: Int)
  }

  private static let idleMilliseconds: UInt64 = 1000

  init(_ node: NodeCore) { self.node = node }

  /// A comparison with the master's digest found a difference. At that LSN.
  func found(_ ranges: [Digest.RangeID], at lsn: LSN, in store: LogStore, _ access: borrowing WriteAccess) {
    var own: [Int: PartitionSums] = [:]
    for range in ranges where Int(range.database) < store.databases {
      own[Int(range.database)] = PartitionSums(store, Int(range.database), access)
    }
    request.withLock { $0 = Request(lsn: lsn, own: own, store: store) }
    node.host.wake(.digestRepair)
  }

  package func end() { run = nil }

  // MARK: Steps

  package func step(now: Tick) -> UInt64 {
    if run == nil { begin(now) }
    guard var run else { return Self.idleMilliseconds }
    do {
      guard run.store === node.store else { throw RepairRefusal("the data was replaced meanwhile") }
      guard let pause = try advance(&run, now) else {
        succeeded(run, now)
        return 0
      }
      self.run = run
      return pause
    } catch {
      failed(run, error)
      return Self.idleMilliseconds
    }
  }

  private func begin(_ now: Tick) {
    guard let request = request.withLock({ $0.take() }), case .slave(let master) = node.role,
      request.store === node.store
    else { return }
    figures.withLock { $0.isRepairing = true }
    let databases = request.own.sorted { $0.key < $1.key }.map { (database: $0.key, own: $0.value) }
    run = Run(
      lsn: request.lsn, store: request.store, master: master,
      peer: PeerRecords(master, host: node.host, wakes: .digestRepair), began: now, databases: databases[...])
  }

  /// Returns when to go on; nil: it is done.
  private func advance(_ run: inout Run, _ now: Tick) throws -> UInt64? {
    guard let (database, own) = run.databases.first else { return nil }
    switch run.phase {
    case .next:
      if let partition = run.partitions.popFirst() {
        run.phase = .partition(
          PartitionRepair(
            node, run.store, database: database, partition: partition, peer: run.peer, master: run.master))
      } else {
        run.phase = .sums
        run.peer.ask([
          "MS_DIGEST_PARTITIONS", node.directory.lineage.description, run.lsn.description, String(database),
        ])
      }
      return 0
    case .sums:
      guard let answer = try run.peer.take() else { return Self.idleMilliseconds }
      let theirs = try PartitionSums(decoding: answer.records.first ?? [])
      guard let differing = own.differing(from: theirs) else {
        throw RepairRefusal("database \(database) is not the same table here and there; a full sync mends it")
      }
      node.logger.notice(
        "comparing records with the master",
        metadata: [
          "digest.lsn": "\(run.lsn)", "digest.database": "\(database)", "digest.partitions": "\(differing.count)",
        ])
      run.partitions = differing[...]
      run.phase = .next
      if differing.isEmpty { run.databases.removeFirst() }
      return 0
    case .partition(let repair):
      switch try repair.step(now) {
      case .wait(let milliseconds): return milliseconds
      case .done(let changed):
        run.fetchedBytes += repair.fetchedBytes
        run.phase = .recount(repair.partition, changed: changed)
        return 0
      }
    case .recount(let partition, var changed):
      do throws(PartitionFailure) {
        if try run.store.recount(database: database, partition: partition) { changed = max(changed, 1) }
      } catch {
        guard error == .tooManyReaders else { throw error }
        return PartitionRepair.pauseMilliseconds
      }
      run.records += changed
      run.repaired += 1
      run.phase = .next
      if run.partitions.isEmpty { run.databases.removeFirst() }
      return 0
    }
  }

  private func succeeded(_ run: Run, _ now: Tick) {
    end(run, error: "")
    node.logger.notice(
      "a difference from the master is repaired",
      metadata: [
        "digest.lsn": "\(run.lsn)", "digest.partitions": "\(run.repaired)", "digest.records": "\(run.records)",
        "digest.wire.bytes": "\(run.bytesReceived)", "digest.ms": "\(now.since(run.began))",
      ])
  }

  private func failed(_ run: Run, _ error: any Error) {
    end(run, error: "\(error)")
    node.logger.error(
      "A DIFFERENCE FROM THE MASTER IS NOT REPAIRED",
      metadata: ["digest.lsn": "\(run.lsn)", "digest.error": "\(error)"])
  }

  private func end(_ run: Run, error: String) {
    self.run = nil
    figures.withLock {
      $0.isRepairing = false
      $0.error = error
      $0.repairs += run.records > 0 ? 1 : 0
      $0.records += run.records
      $0.bytes += run.bytesReceived
    }
  }

  // MARK: For INFO

  /// What is said of the digest: a difference that is being repaired is no less a difference.
  package func state(_ compared: String) -> String {
    compared == "different" && figures.withLock({ $0.isRepairing }) ? "repairing" : compared
  }

  /// What was repaired since the start.
  package var repairs: Figures { figures.withLock { $0 } }
}

struct RepairRefusal: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
