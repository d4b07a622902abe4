import Core
import LogStore
import Replication

/// Makes one partition of a slave the master's, part by part, in steps: asks for what is alive there, waits until this node
/// shows as much, compares, and changes what differs. Looks again until a part is equal.
///
/// Owned by `DigestRepair`, on its thread.
final class PartitionRepair {
  enum Step {
    case wait(milliseconds: UInt64)
    /// So many records were put back or taken out.
    case done(changed: Int)
  }
  private enum State {
    /// The master is to be asked for the part that begins at `tag`, after a pause.
    case asking(notBefore: Tick)
    case asked
    /// This node has to show what the listing shows.
    case reaching(PartitionListing, next: UInt64, since: Tick)
    /// Records that this node's log has not are on their way.
    case fetching(CopySearch, [ListedRecord], PartitionListing)
  }

  let partition: Int
  private unowned let node: NodeCore
  private let store: LogStore
  private let database: Int
  private let peer: PeerRecords
  private let master: NodeAddress
  private var state = State.asking(notBefore: Tick(milliseconds: 0))
  private var tag: UInt64 = 0
  private var attempts = 0
  private var changed = 0
  /// Of single records.
  private(set) var fetchedBytes = 0

  static let pauseMilliseconds: UInt64 = 50
  private static let attemptsMax = 20
  private static let catchUpMilliseconds: UInt64 = 20_000
  private static let answerMilliseconds: UInt64 = 1000
  private static let tagEnd: UInt64 = 1 << 24

  init(
    _ node: NodeCore, _ store: LogStore, database: Int, partition: Int, peer: PeerRecords, master: NodeAddress
  ) {
    self.node = node
    self.store = store
    self.database = database
    self.partition = partition
    self.peer = peer
    self.master = master
  }

  func step(_ now: Tick) throws -> Step {
    switch state {
    case .asking(let notBefore):
      if now < notBefore { return .wait(milliseconds: notBefore.since(now)) }
      peer.ask([
        "MS_PARTITION_RECORDS", node.directory.lineage.description, String(database), String(partition), String(tag),
      ])
      state = .asked
      return .wait(milliseconds: Self.answerMilliseconds)
    case .asked:
      guard let answer = try peer.take() else { return .wait(milliseconds: Self.answerMilliseconds) }
      let next = answer.next.value
      guard next == 0 || next > tag && next < Self.tagEnd else { throw RepairRefusal("a bad tag from the master") }
      state = .reaching(try PartitionListing(decoding: answer.records.first ?? []), next: next, since: now)
      return .wait(milliseconds: 0)
    case .reaching(let theirs, let next, let since):
      guard store.positions.applied >= theirs.lsn else {
        guard now.since(since) < Self.catchUpMilliseconds else {
          throw RepairRefusal("LSN \(theirs.lsn) did not arrive in time")
        }
        return .wait(milliseconds: Self.pauseMilliseconds)
      }
      return try compare(with: theirs, next: next, now)
    case .fetching(var search, let wanted, let theirs):
      guard search.step() else {
        state = .fetching(search, wanted, theirs)
        return .wait(milliseconds: Self.answerMilliseconds)
      }
      fetchedBytes += search.copies.values.reduce(0) { $0 + $1.count }
      return try lookAgain(because: try restore(wanted, search, theirs), now)
    }
  }

  /// This part is not equal yet.
  private func lookAgain(because why: String, _ now: Tick) throws -> Step {
    attempts += 1
    guard attempts < Self.attemptsMax else { throw RepairRefusal(why) }
    state = .asking(notBefore: now.advanced(by: Self.pauseMilliseconds))
    return .wait(milliseconds: Self.pauseMilliseconds)
  }

  // MARK: Comparing

  private func compare(with theirs: PartitionListing, next: UInt64, _ now: Tick) throws -> Step {
    let view = try store.partitionView(
      database: database, partition: partition, from: tag, to: next == 0 ? Self.tagEnd : next, recordsMax: 0)
    guard
      let difference = PartitionComparison(
        own: PartitionListing(view), lastRemoval: view.lastRemoval, master: theirs)
    else { return try lookAgain(because: "the master's table or term changed", now) }
    var open: String? = difference.undecided > 0 ? "keys of the partition are being deleted" : nil
    var wanted: [ListedRecord] = []
    if !difference.isEqual {
      var unsettled: Set<UInt64> = []
      wanted = difference.contentDiffers
      putBack(difference.missing, theirs, &wanted, &unsettled, &open)
      takeOut(difference.extra.filter { !unsettled.contains($0.hash) }, theirs, &open)
    } else {
      open = nil
    }
    if !wanted.isEmpty {
      // The others are counted when the index follows.
      changed += difference.contentDiffers.count
      state = .fetching(
        CopySearch(
          wanted.map(\.lsn), of: node.directory.lineage, from: [master], host: node.host, duty: .digestRepair), wanted,
        theirs)
      return .wait(milliseconds: 0)
    }
    if let open { return try lookAgain(because: open, now) }
    (tag, attempts) = (next, 0)
    if next == 0 { return .done(changed: changed) }
    state = .asking(notBefore: now)
    return .wait(milliseconds: 0)
  }

  /// Entries that the index lost. What the log has not, or has otherwise, is `wanted`.
  private func putBack(
    _ missing: [ListedRecord], _ theirs: PartitionListing, _ wanted: inout [ListedRecord],
    _ unsettled: inout Set<UInt64>, _ open: inout String?
  ) {
    let findings = store.find(missing.map { PartitionRecord($0) })
    for record in missing {
      switch findings[record.lsn] {
      case .here(let place):
        switch store.putBack(
          PartitionRecord(record), at: place, database: database, table: theirs.table, aliveAt: theirs.lsn)
        {
        case .done: changed += 1
        case .unchanged: break
        case .notNow:
          open = "LSN \(record.lsn) cannot be put back into the index now"
          unsettled.insert(record.hash)
        }
      case .damaged(let name):
        store.suspect(name)
        open = "LSN \(record.lsn) is damaged in this node's log"
        unsettled.insert(record.hash)
      case .absent, .other:
        wanted.append(record)
        unsettled.insert(record.hash)
      case nil: open = "\(PartitionFailure.tooManyReaders)"
      }
    }
  }

  /// Entries of records that are dead.
  private func takeOut(_ extra: [ListedRecord], _ theirs: PartitionListing, _ open: inout String?) {
    for record in extra {
      switch store.takeOut(PartitionRecord(record), database: database, table: theirs.table, deadAt: theirs.lsn) {
      case .done: changed += 1
      case .unchanged: break
      case .notNow: open = "LSN \(record.lsn) cannot be taken out of the index now"
      }
    }
  }

  // MARK: Restoring

  /// Puts records from the master into this node's log. What is left to do, in words: the index follows with the next look.
  private func restore(
    _ wanted: [ListedRecord], _ search: CopySearch, _ theirs: PartitionListing
  ) throws -> String {
    if let reason = search.reasons.first { throw RepairRefusal(reason) }
    var copies = wanted.compactMap { record in
      search.copies[record.lsn].map { RestoreJob.Copy(record: PartitionRecord(record), bytes: $0) }
    }
    guard copies.count == wanted.count else {
      return "the master has no copy of \(wanted.count - copies.count) of \(wanted.count) records"
    }
    // What stands in the newest part of the log is changed when that is sealed.
    let findings = store.find(copies.map(\.record))
    let isUnsealed = findings.values.contains { finding in
      if case .other(let isSealed) = finding { return !isSealed }
      return false
    }
    if isUnsealed || store.sealedPieces.isEmpty {
      store.withWriteLock { access in store.closeActiveSegment(access) }
      node.commitNow()
      node.maintainStore()
    }
    while !copies.isEmpty {
      guard let job = RestoreJob(store: store, copies: copies, table: theirs.table, aliveAt: theirs.lsn) else {
        return "LSN \(copies[0].record.lsn) cannot be put into the log now: its piece is not sealed, or in use"
      }
      do throws(RepairFailure) { try job.build() } catch {
        if case .missing(let damaged) = error, let name = store.pieceName(of: damaged.first ?? .none) {
          store.suspect(name)
        }
        throw error
      }
      guard try node.install(job, in: store) else { throw RepairRefusal("the data was replaced meanwhile") }
      let done = Set(job.records)
      copies.removeAll { done.contains($0.record.lsn) }
    }
    return "the index does not know the restored records yet"
  }
}
