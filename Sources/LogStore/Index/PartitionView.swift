// Raw memory: reads the headers of the records that an index partition points at.
import Core
import Synchronization

/// A live record, as a comparison of two nodes sees it.
public struct PartitionRecord: Equatable, Sendable {
  public let hash: UInt64
  public let lsn: LSN
  public let contentHash: UInt32
  public init(hash: UInt64, lsn: LSN, contentHash: UInt32) {
    self.hash = hash
    self.lsn = lsn
    self.contentHash = contentHash
  }
}

/// What a partition of a key index held at one moment, or the part of it whose tags are in `from..<next`.
public struct PartitionView: Sendable {
  public let table: UInt32
  /// The applied LSN, and its reign.
  public let lsn: LSN
  public let reign: Reign
  /// The newest record that took a key out of the partition.
  public let lastRemoval: LSN
  /// Where to go on; 0 when the end of the partition is reached.
  public let next: UInt64
  public let records: [PartitionRecord]
}

public enum PartitionFailure: Error, Equatable, CustomStringConvertible, Sendable {
  case tooManyReaders
  /// A record of the partition is damaged: what it was cannot be told. The file is named for a check.
  case damaged
  public var description: String {
    switch self {
    case .tooManyReaders: "too many readers of the log"
    case .damaged: "a record of the partition is damaged"
    }
  }
}

extension LogStore {
  /// A partition's running digest and its number of keys, of all partitions of a database. O(1024).
  public func partitionSums(_ database: Int, _ access: borrowing WriteAccess) -> (
    table: UInt32, sums: [(sum: UInt64, keys: UInt32)]
  ) {
    let table = table(database)
    return table.pointee.index._withUnsafeGuaranteedRef { index in
      (
        table.pointee.id,
        (0..<KeyIndex.partitionCount).map {
          let (digest, keys) = index.sums(partition: $0)
          return (digest, UInt32(truncatingIfNeeded: keys))
        }
      )
    }
  }

  /// The live records of a partition at one moment. The write lock is held while the entries are copied, not while the
  /// records are read. Off the clients' loops.
  ///
  /// - Parameters:
  ///   - from: the first tag.
  ///   - to: the tag to end before; nil for about `recordsMax` records, or the whole rest.
  public func partitionView(
    database: Int, partition: Int, from: UInt64, to: UInt64?, recordsMax: Int
  ) throws(PartitionFailure) -> PartitionView {
    guard let participant = epochs.join() else { throw .tooManyReaders }
    epochs.enter(participant)
    defer {
      epochs.leave(participant)
      epochs.resign(participant)
    }
    let tags: UInt64 = 1 << 24
    var entries: [IndexEntry] = []
    let access = writeLock.lock()
    let table = table(database)
    let id = table.pointee.id
    let applied = positions.applied
    let reign = terms.reign(of: applied) ?? .none
    let (lastRemoval, end) = table.pointee.index._withUnsafeGuaranteedRef { index in
      var end = tags
      if let to {
        end = min(tags, to)
      } else if Int(index.sums(partition: partition).keys) > recordsMax {
        let perRecord = max(1, tags / UInt64(index.slotCount(partition: partition)))
        end = min(tags, from + perRecord * UInt64(recordsMax))
      }
      index.forEach(partition: partition, tags: from..<max(from, end)) { entries.append($0) }
      return (index.lastRemoval(partition: partition), end)
    }
    let boundAt = table.pointee.boundAt
    writeLock.unlock(access)
    var records: [PartitionRecord] = []
    records.reserveCapacity(entries.count)
    for entry in entries {
      let record = try intact(entry)
      records.append(
        PartitionRecord(hash: hash(record.key).value, lsn: LSN(record.lsn), contentHash: record.contentHash))
    }
    return PartitionView(
      table: id, lsn: applied, reign: reign, lastRemoval: LSN(max(lastRemoval, boundAt)), next: end == tags ? 0 : end,
      records: records)
  }

  /// The record of an entry, if it is good. Inside an epoch.
  private func intact(_ entry: IndexEntry) throws(PartitionFailure) -> RecordView {
    let (record, mapped) = record(entry)
    if mapped, !isIntact(record, entry) {
      noteDamage(entry)
      throw .damaged
    }
    return record
  }

  /// Makes a partition's running digest and count those of the records that its entries point at, should they have parted.
  /// Off the clients' loops. Returns whether they had.
  public func recount(database: Int, partition: Int) throws(PartitionFailure) -> Bool {
    guard let participant = epochs.join() else { throw .tooManyReaders }
    epochs.enter(participant)
    defer {
      epochs.leave(participant)
      epochs.resign(participant)
    }
    var entries: [IndexEntry] = []
    let access = writeLock.lock()
    let id = table(database).pointee.id
    let running = table(database).pointee.index._withUnsafeGuaranteedRef { index in
      index.forEach(partition: partition, tags: 0..<1 << 24) { entries.append($0) }
      return index.sums(partition: partition)
    }
    writeLock.unlock(access)
    var sum: UInt64 = 0
    for entry in entries { sum &+= try intact(entry).digest }
    // Both go on by the same steps meanwhile, so what parts them stays what it is.
    let missing = (digest: sum &- running.digest, keys: Int32(truncatingIfNeeded: entries.count) &- running.keys)
    guard missing.digest != 0 || missing.keys != 0 else { return false }
    return withWriteLock { access in
      guard table(database).pointee.id == id else { return false }
      keyspace.correct(table(database), partition: partition, digest: missing.digest, keys: missing.keys, access)
      return true
    }
  }
}
