import Core

// Bodies of the frames that make up a sync. Each begins with a version byte (1). Little endian; string = u16 length +
// UTF-8; history = u16 count, then (u32 term, u64 first LSN) each.
//
// syncBegin     u8 version, u8 mode (1 partial, 2 delta, 3 full), u64 snapshot id (full only, else 0), u64
//               start LSN, u64 barrier LSN (delta: the lowest it may have), 20 bytes lineage, u32 file count, u64 file bytes, u64 log bytes (estimate), history
// fileManifest  u8 version, u64 snapshot id, u32 count, then per file: u64 number, u8 kind, u8 flags (bit 0: has a
//               checksum), u64 bytes, u64 first LSN, u64 last LSN, u32 crc32c of the whole file (0 without bit 0)
// fileDone      u8 version, u64 snapshot id, u8 flags (bit 0: has a checksum), u32 crc32c of the whole file.
//               The file's number and size are in the header.
// syncEnd       u8 version, u64 snapshot id, u64 barrier LSN: everything up to the barrier has been sent
// deltaEnd      u8 version, u64 barrier LSN, u32 its term, u64 records, u64 bytes, u32 crc32c of the records of the whole
//               delta one behind the other, history up to the barrier
// ack           u64 durable LSN, u64 applied LSN, u64 master clock of the newest applied frame (0: nothing applied yet),
//               u64 bytes of the sync's files that are stored here, with those of an earlier try; of a delta's records

package enum SyncMode: UInt8, Hashable, Sendable, CaseIterable {
  case partial = 1
  case delta = 2
  case full = 3

  package init?(name: String) {
    guard let mode = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = mode
  }
  package var name: String {
    switch self {
    case .partial: "partial"
    case .delta: "delta"
    case .full: "full"
    }
  }
}

/// Names the set of files of one full sync, so that a cut one is resumed with the same files or not at all.
/// 0 = none. Shown as 16 hex digits.
package struct SnapshotID: Hashable, Sendable, CustomStringConvertible {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static let none = SnapshotID(0)
  package init?(hex: some StringProtocol) {
    guard hex.utf8.count == 16, hex.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
      let value = UInt64(hex, radix: 16)
    else { return nil }
    self.value = value
  }
  package var description: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}

package struct SyncBegin: Hashable, Sendable {
  package var mode: SyncMode
  package var snapshot: SnapshotID
  /// The first LSN that comes as log. The files, and the log kept of an earlier try, hold everything before it.
  package var startLSN: LSN
  /// From here on the slave's state is that of one moment; 0 if it is so from the start.
  package var barrierLSN: LSN
  package var lineage: NodeID
  package var fileCount: Int
  package var fileBytes: UInt64
  package var logBytes: UInt64
  package var history: TermHistory
  /// Of a full sync: no tombstone from here on was dropped from the files. `none` = an older master did not say.
  package var tombstonesFrom: LSN

  package init(
    mode: SyncMode, snapshot: SnapshotID = .none, startLSN: LSN, barrierLSN: LSN, lineage: NodeID, fileCount: Int = 0,
    fileBytes: UInt64 = 0, logBytes: UInt64 = 0, history: TermHistory, tombstonesFrom: LSN = .none
  ) {
    self.mode = mode
    self.snapshot = snapshot
    self.startLSN = startLSN
    self.barrierLSN = barrierLSN
    self.lineage = lineage
    self.fileCount = fileCount
    self.fileBytes = fileBytes
    self.logBytes = logBytes
    self.history = history
    self.tombstonesFrom = tombstonesFrom
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 104 + history.entries.count * BodyCoding.historyEntryBytes)
    out.u8(BodyCoding.version)
    out.u8(mode.rawValue)
    out.u64(snapshot.value)
    out.u64(startLSN.value)
    out.u64(barrierLSN.value)
    out.raw(lineage.bytes)
    out.u32(UInt32(fileCount))
    out.u64(fileBytes)
    out.u64(logBytes)
    BodyCoding.write(history, to: &out)
    // Left out where it says nothing, so that slaves of the first version understand the others.
    if tombstonesFrom > .none { out.u64(tombstonesFrom.value) }
    return out.bytes
  }

  package static func decode(_ body: [UInt8]) throws(FrameError) -> SyncBegin {
    try BodyCoding.read(.syncBegin, body) { reader in
      try BodyCoding.checkVersion(&reader)
      guard let mode = SyncMode(rawValue: try reader.u8()) else { throw FrameError(.badBody, "unknown sync mode") }
      var begin = SyncBegin(
        mode: mode, snapshot: SnapshotID(try reader.u64()), startLSN: try BodyCoding.lsn(&reader),
        barrierLSN: try BodyCoding.lsn(&reader), lineage: try BodyCoding.nodeID(&reader),
        fileCount: Int(try reader.u32()),
        fileBytes: try BodyCoding.number(&reader), logBytes: try BodyCoding.number(&reader),
        history: try BodyCoding.history(&reader))
      if reader.remaining > 0 { begin.tombstonesFrom = try BodyCoding.lsn(&reader) }
      guard begin.startLSN > .none else { throw FrameError(.badBody, "a sync that starts at LSN 0") }
      guard begin.fileCount <= FileManifest.filesMax else {
        throw FrameError(.badBody, "a sync of \(begin.fileCount) files, at most \(FileManifest.filesMax) are allowed")
      }
      return begin
    }
  }
}

package struct FileManifest: Hashable, Sendable {
  package static let filesMax = 100_000
  static let entryBytes = 38

  package enum Kind: UInt8, Hashable, Sendable {
    case data = 1
    case segment = 2
    case index = 3
  }

  /// One file. It has a number and no name: a name from a peer never reaches the file system.
  package struct File: Hashable, Sendable {
    package var number: UInt64
    package var kind: Kind
    package var bytes: UInt64
    package var firstLSN: LSN
    package var lastLSN: LSN
    package var checksum: UInt32?
    package init(
      number: UInt64, kind: Kind, bytes: UInt64, firstLSN: LSN = .none, lastLSN: LSN = .none, checksum: UInt32? = nil
    ) {
      self.number = number
      self.kind = kind
      self.bytes = bytes
      self.firstLSN = firstLSN
      self.lastLSN = lastLSN
      self.checksum = checksum
    }
  }

  package var snapshot: SnapshotID
  /// In the order in which they are sent. Invariant after decoding: numbers are unique, the sum of bytes fits 63 bits.
  package var files: [File]
  package init(snapshot: SnapshotID, files: [File]) {
    self.snapshot = snapshot
    self.files = files
  }
  package var totalBytes: UInt64 { files.reduce(0) { $0 &+ $1.bytes } }
  /// Every record up to here is in the files, or was replaced by one that is.
  package var lastLSN: LSN { files.map(\.lastLSN).max() ?? .none }

  package func encoded() -> [UInt8] {
    precondition(files.count <= Self.filesMax, "a manifest of \(files.count) files")
    var out = ByteWriter(capacity: 13 + files.count * Self.entryBytes)
    out.u8(BodyCoding.version)
    out.u64(snapshot.value)
    out.u32(UInt32(files.count))
    for file in files {
      out.u64(file.number)
      out.u8(file.kind.rawValue)
      out.u8(file.checksum == nil ? 0 : 1)
      out.u64(file.bytes)
      out.u64(file.firstLSN.value)
      out.u64(file.lastLSN.value)
      out.u32(file.checksum ?? 0)
    }
    return out.bytes
  }

  package static func decode(_ body: [UInt8]) throws(FrameError) -> FileManifest {
    try BodyCoding.read(.fileManifest, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let snapshot = SnapshotID(try reader.u64())
      let count = try BodyCoding.count(&reader, entryBytes: entryBytes, max: filesMax)
      var manifest = FileManifest(snapshot: snapshot, files: [])
      var numbers = Set<UInt64>()
      var total: UInt64 = 0
      for _ in 0..<count {
        let number = try reader.u64()
        guard let kind = Kind(rawValue: try reader.u8()) else { throw FrameError(.badBody, "unknown file kind") }
        let flags = try reader.u8()
        guard flags <= 1 else { throw FrameError(.badBody, "unknown file flags \(flags)") }
        let bytes = try BodyCoding.number(&reader)
        let first = try BodyCoding.lsn(&reader)
        let last = try BodyCoding.lsn(&reader)
        let checksum = try reader.u32()
        guard numbers.insert(number).inserted else { throw FrameError(.badBody, "file \(number) is listed twice") }
        let (sum, overflow) = total.addingReportingOverflow(bytes)
        guard !overflow, sum <= UInt64(Int64.max) else {
          throw FrameError(.badBody, "file \(number) of \(bytes) bytes")
        }
        total = sum
        guard last >= first else { throw FrameError(.badBody, "file \(number) of LSN \(first) to \(last)") }
        manifest.files.append(
          File(
            number: number, kind: kind, bytes: bytes, firstLSN: first, lastLSN: last,
            checksum: flags == 1 ? checksum : nil))
      }
      return manifest
    }
  }
}

package struct FileDone: Hashable, Sendable {
  package var snapshot: SnapshotID
  package var checksum: UInt32?
  package init(snapshot: SnapshotID, checksum: UInt32? = nil) {
    self.snapshot = snapshot
    self.checksum = checksum
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 14)
    out.u8(BodyCoding.version)
    out.u64(snapshot.value)
    out.u8(checksum == nil ? 0 : 1)
    out.u32(checksum ?? 0)
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> FileDone {
    try BodyCoding.read(.fileDone, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let snapshot = SnapshotID(try reader.u64())
      let flags = try reader.u8()
      guard flags <= 1 else { throw FrameError(.badBody, "unknown file flags \(flags)") }
      let checksum = try reader.u32()
      return FileDone(snapshot: snapshot, checksum: flags == 1 ? checksum : nil)
    }
  }
}

package struct SyncEnd: Hashable, Sendable {
  package var snapshot: SnapshotID
  package var barrierLSN: LSN
  package init(snapshot: SnapshotID, barrierLSN: LSN) {
    self.snapshot = snapshot
    self.barrierLSN = barrierLSN
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 17)
    out.u8(BodyCoding.version)
    out.u64(snapshot.value)
    out.u64(barrierLSN.value)
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> SyncEnd {
    try BodyCoding.read(.syncEnd, body) { reader in
      try BodyCoding.checkVersion(&reader)
      return SyncEnd(snapshot: SnapshotID(try reader.u64()), barrierLSN: try BodyCoding.lsn(&reader))
    }
  }
}

/// Ends a delta: what came must be all of it, or nothing of it counts.
package struct DeltaEnd: Hashable, Sendable {
  /// With what was sent, and what the slave had, this is the state of this moment.
  package var barrierLSN: LSN
  /// Of the record with that LSN, which need not be among those sent; 0 only if the barrier is 0.
  package var term: Term
  package var records: UInt64
  package var bytes: UInt64
  /// crc32c over the bytes of all records, in the order sent, before compression; 0 for none.
  package var checksum: UInt32
  /// Terms that began at the barrier or before. The master's may have grown since the sync began.
  package var history: TermHistory

  package init(barrierLSN: LSN, term: Term, records: UInt64, bytes: UInt64, checksum: UInt32, history: TermHistory) {
    self.barrierLSN = barrierLSN
    self.term = term
    self.records = records
    self.bytes = bytes
    self.checksum = checksum
    self.history = history
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 35 + history.entries.count * BodyCoding.historyEntryBytes)
    out.u8(BodyCoding.version)
    out.u64(barrierLSN.value)
    out.u32(term.value)
    out.u64(records)
    out.u64(bytes)
    out.u32(checksum)
    BodyCoding.write(history, to: &out)
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> DeltaEnd {
    try BodyCoding.read(.deltaEnd, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let end = DeltaEnd(
        barrierLSN: try BodyCoding.lsn(&reader), term: try BodyCoding.term(&reader),
        records: try BodyCoding.number(&reader),
        bytes: try BodyCoding.number(&reader), checksum: try reader.u32(), history: try BodyCoding.history(&reader))
      guard end.barrierLSN.value < .max, (end.history.last?.firstLSN ?? .none) <= end.barrierLSN,
        end.history.term(of: end.barrierLSN) ?? .none == end.term
      else {
        throw FrameError(.badBody, "a barrier LSN \(end.barrierLSN) of term \(end.term) outside the term history")
      }
      guard (end.records == 0) == (end.bytes == 0), end.records <= end.bytes else {
        throw FrameError(.badBody, "a delta of \(end.records) records in \(end.bytes) bytes")
      }
      return end
    }
  }
}

/// What a slave has. Sent when durable or applied advance, after stored file bytes, and every second.
package struct Ack: Hashable, Sendable {
  package static let byteCount = 40
  /// On this slave's disk. During a full sync: of the copy that is being built, 0 until its files are complete.
  package var durableLSN: LSN
  /// Visible to reads here. 0 while the data that is read is not yet the master's.
  package var appliedLSN: LSN
  /// The master clock of the newest frame whose records are applied: the master subtracts it from its own clock and
  /// has the lag in milliseconds without ever comparing two machines' clocks.
  package var appliedClock: WallClock
  /// Of the sync's files that are stored here; of a delta's records before compression.
  package var fileBytes: UInt64
  /// The master clock of the newest frame heard, whatever was in it: see `ReadLease`.
  package var heardClock: WallClock
  package init(
    durableLSN: LSN, appliedLSN: LSN, appliedClock: WallClock = WallClock(milliseconds: 0), fileBytes: UInt64 = 0,
    heardClock: WallClock = WallClock(milliseconds: 0)
  ) {
    self.durableLSN = durableLSN
    self.appliedLSN = appliedLSN
    self.appliedClock = appliedClock
    self.fileBytes = fileBytes
    self.heardClock = heardClock
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: Self.byteCount)
    out.u64(durableLSN.value)
    out.u64(appliedLSN.value)
    out.u64(appliedClock.milliseconds)
    out.u64(fileBytes)
    out.u64(heardClock.milliseconds)
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> Ack {
    try BodyCoding.read(.ack, body) { reader in
      let ack = Ack(
        durableLSN: try BodyCoding.lsn(&reader), appliedLSN: try BodyCoding.lsn(&reader),
        appliedClock: try BodyCoding.clock(&reader), fileBytes: try BodyCoding.number(&reader),
        heardClock: try BodyCoding.clock(&reader))
      guard ack.appliedLSN <= ack.durableLSN else {
        throw FrameError(.badBody, "applied LSN \(ack.appliedLSN) is beyond durable LSN \(ack.durableLSN)")
      }
      return ack
    }
  }

  /// Refuses what no honest slave says: an LSN or bytes that were never sent (it would fake a quorum), or going back.
  package func check(sentLSN: LSN, sentFileBytes: UInt64, previous: Ack) throws(ReplicationError) {
    guard durableLSN <= sentLSN else {
      throw ReplicationError(.badAck, "LSN \(durableLSN) acknowledged, sent up to \(sentLSN)")
    }
    guard fileBytes <= sentFileBytes else {
      throw ReplicationError(.badAck, "\(fileBytes) file bytes acknowledged, \(sentFileBytes) sent")
    }
    guard durableLSN >= previous.durableLSN, appliedLSN >= previous.appliedLSN, fileBytes >= previous.fileBytes else {
      throw ReplicationError(.badAck, "an acknowledgement that goes back, from \(previous) to \(self)")
    }
  }
}

extension Ack: CustomStringConvertible {
  package var description: String { "durable \(durableLSN) applied \(appliedLSN) file bytes \(fileBytes)" }
}

/// A frame's body once it is read. `bulk` bodies stay where they are: records for the log, bytes for a file.
package enum FrameBody: Hashable, Sendable {
  case bulk
  case empty
  case syncBegin(SyncBegin)
  case fileManifest(FileManifest)
  case fileDone(FileDone)
  case syncEnd(SyncEnd)
  case deltaEnd(DeltaEnd)
  case ack(Ack)
  case slaveList(SlaveList)
  case digest(Digest)
  case needPlan(NeedPlan)
  case error(ErrorBody)
  case handover(HandoverOrder)
  case prove(ProofQuestion)
  case proof(ProofAnswer)
  case upstreamPath(UpstreamPath)

  /// - Parameter body: the opened (decompressed) body; not looked at for log, delta and fileChunk, which may pass [].
  package static func decode(_ header: FrameHeader, _ body: [UInt8]) throws(FrameError) -> FrameBody {
    switch header.type {
    case .log, .delta, .fileChunk: .bulk
    case .heartbeat: .empty
    case .syncBegin: .syncBegin(try SyncBegin.decode(body))
    case .fileManifest: .fileManifest(try FileManifest.decode(body))
    case .fileDone: .fileDone(try FileDone.decode(body))
    case .syncEnd: .syncEnd(try SyncEnd.decode(body))
    case .deltaEnd: .deltaEnd(try DeltaEnd.decode(body))
    case .ack: .ack(try Ack.decode(body))
    case .slaveList: .slaveList(try SlaveList.decode(body))
    case .digest: .digest(try Digest.decode(body, at: header.firstLSN))
    case .needPlan: .needPlan(try NeedPlan.decode(body))
    case .error: .error(try ErrorBody.decode(body))
    case .handover: .handover(try HandoverOrder.decode(body))
    case .prove: .prove(try ProofQuestion.decode(body))
    case .proof: .proof(try ProofAnswer.decode(body))
    case .upstreamPath: .upstreamPath(try UpstreamPath.decode(body))
    }
  }
}
