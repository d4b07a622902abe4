import Core

/// The running digest of one partition of a table's key index.
package struct PartitionSum: Hashable, Sendable {
  package var sum: UInt64
  package var liveRecords: UInt32
  package init(sum: UInt64, liveRecords: UInt32) {
    self.sum = sum
    self.liveRecords = liveRecords
  }
}

/// The digests of all partitions of one database at one LSN.
package struct PartitionSums: Hashable, Sendable {
  package static let entryBytes = 12
  package static let partitionsMax = 1 << 16
  package var table: UInt32
  package var partitions: [PartitionSum]
  package init(table: UInt32, partitions: [PartitionSum]) {
    self.table = table
    self.partitions = partitions
  }

  //  offset size name
  //       0    1 version
  //       1    4 table
  //       5    4 count
  //       9    . count times: sum (8), live records (4)
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 9 + partitions.count * Self.entryBytes)
    out.u8(BodyCoding.version)
    out.u32(table)
    out.u32(UInt32(partitions.count))
    for partition in partitions {
      out.u64(partition.sum)
      out.u32(partition.liveRecords)
    }
    return out.bytes
  }

  package init(decoding bytes: [UInt8]) throws(FrameError) {
    self = try BodyCoding.read(.digest, bytes) { reader in
      try BodyCoding.checkVersion(&reader)
      let table = try reader.u32()
      let count = try BodyCoding.count(&reader, entryBytes: Self.entryBytes, max: Self.partitionsMax)
      var partitions: [PartitionSum] = []
      partitions.reserveCapacity(count)
      for _ in 0..<count { partitions.append(PartitionSum(sum: try reader.u64(), liveRecords: try reader.u32())) }
      return PartitionSums(table: table, partitions: partitions)
    }
  }

  /// The partitions that differ from the master's, rising; nil when the two are not about the same table.
  package func differing(from master: PartitionSums) -> [Int]? {
    guard table == master.table, partitions.count == master.partitions.count else { return nil }
    return partitions.indices.filter { partitions[$0] != master.partitions[$0] }
  }
}

/// A live record as a comparison sees it: which key, which of its records, which content.
package struct ListedRecord: Hashable, Sendable {
  package var hash: UInt64
  package var lsn: LSN
  package var contentHash: UInt32
  package init(hash: UInt64, lsn: LSN, contentHash: UInt32) {
    self.hash = hash
    self.lsn = lsn
    self.contentHash = contentHash
  }
}

/// The live records of a part of one partition, as they were at one LSN.
package struct PartitionListing: Hashable, Sendable {
  package static let entryBytes = 20
  package static let recordsMax = 1 << 20
  package var table: UInt32
  package var lsn: LSN
  /// The node's newest reign at that moment: after a change of master two listings cannot be compared.
  package var reign: Reign
  package var records: [ListedRecord]
  package init(table: UInt32, lsn: LSN, reign: Reign, records: [ListedRecord]) {
    self.table = table
    self.lsn = lsn
    self.reign = reign
    self.records = records
  }

  //  offset size name
  //       0    1 version
  //       1    4 table
  //       5    8 LSN
  //      13    4 term
  //      17   20 owner of the term
  //      37    4 count
  //      41    . count times: hash of the key (8), LSN (8), hash of the content (4)
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 41 + records.count * Self.entryBytes)
    out.u8(BodyCoding.version)
    out.u32(table)
    out.u64(lsn.value)
    out.u32(reign.term.value)
    out.raw(reign.owner.bytes)
    out.u32(UInt32(records.count))
    for record in records {
      out.u64(record.hash)
      out.u64(record.lsn.value)
      out.u32(record.contentHash)
    }
    return out.bytes
  }

  package init(decoding bytes: [UInt8]) throws(FrameError) {
    self = try BodyCoding.read(.digest, bytes) { reader in
      try BodyCoding.checkVersion(&reader)
      let table = try reader.u32()
      let lsn = try BodyCoding.lsn(&reader)
      let reign = Reign(term: try BodyCoding.term(&reader), owner: try BodyCoding.nodeID(&reader))
      let count = try BodyCoding.count(&reader, entryBytes: Self.entryBytes, max: Self.recordsMax)
      var records: [ListedRecord] = []
      records.reserveCapacity(count)
      for _ in 0..<count {
        records.append(
          ListedRecord(hash: try reader.u64(), lsn: try BodyCoding.lsn(&reader), contentHash: try reader.u32()))
      }
      return PartitionListing(table: table, lsn: lsn, reign: reign, records: records)
    }
  }
}

/// What a slave's partition has to be changed by so that it is the master's, found from two listings of it. The slave's was
/// made at the master's LSN or later, while both went on: only what is certain counts.
///
/// A record of the slave up to the master's LSN was alive at that LSN, so it must be in the master's listing. A record in the
/// master's listing that the slave does not have was replaced or deleted here since, or is missing: a newer record of the
/// key, or a removal in the partition since, leaves that open.
package struct PartitionComparison: Hashable, Sendable {
  /// In the master's partition and not in this one, in the order of LSNs.
  package var missing: [ListedRecord] = []
  /// In this partition and not in the master's, in the order of LSNs.
  package var extra: [ListedRecord] = []
  /// The same record with another content here: the logs differ, not only the indexes. The master's are listed.
  package var contentDiffers: [ListedRecord] = []
  /// Records that may be missing, or were deleted meanwhile: another look is needed.
  package var undecided = 0

  package var isEqual: Bool { missing.isEmpty && extra.isEmpty && contentDiffers.isEmpty && undecided == 0 }

  /// - Parameter lastRemoval: the newest removal in this node's partition when its listing was made.
  /// - Returns: nil when the two cannot be compared: other tables, another reign, or this node is behind.
  package init?(own: PartitionListing, lastRemoval: LSN, master: PartitionListing) {
    guard own.table == master.table, own.reign == master.reign, own.lsn >= master.lsn else { return nil }
    struct Place: Hashable {
      let hash: UInt64
      let lsn: LSN
    }
    let theirs = Dictionary(
      master.records.map { (Place(hash: $0.hash, lsn: $0.lsn), $0) }, uniquingKeysWith: { first, _ in first })
    var found: Set<Place> = []
    var newestOwn: [UInt64: LSN] = [:]
    for record in own.records {
      newestOwn[record.hash] = max(newestOwn[record.hash] ?? .none, record.lsn)
      guard record.lsn <= master.lsn else { continue }
      let place = Place(hash: record.hash, lsn: record.lsn)
      guard let other = theirs[place] else {
        extra.append(record)
        continue
      }
      found.insert(place)
      if other.contentHash != record.contentHash { contentDiffers.append(other) }
    }
    for record in master.records where !found.contains(Place(hash: record.hash, lsn: record.lsn)) {
      if let newest = newestOwn[record.hash], newest > master.lsn { continue }
      if newestOwn[record.hash] == nil, lastRemoval > master.lsn {
        undecided += 1
      } else {
        missing.append(record)
      }
    }
    missing.sort { ($0.lsn, $0.hash) < ($1.lsn, $1.hash) }
    extra.sort { ($0.lsn, $0.hash) < ($1.lsn, $1.hash) }
    contentDiffers.sort { ($0.lsn, $0.hash) < ($1.lsn, $1.hash) }
  }
}
