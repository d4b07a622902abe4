import Core

// One generation of the data directory, `<generation, 20 digits>.dir`: what the node is and which files are alive.
// Little endian; strings and lists are preceded by their length.
//
//  offset size name          meaning
//       0    8 magic         "PLDIR\0\0\7"
//       8    4 bodyBytes
//      12    4 checksum      crc32c of the body
//      16    . body:         generation u64, node id 20, lineage 20, store number u32,
//                            vote term u32, vote length u8 and node id,
//                            term history: count u32, then (term u32, owner 20, first LSN u64) each,
//                            segments: count u32, then (first LSN u64, revision u32, last LSN u64, bytes u64,
//                            checksum u32, cleaned up to u64) each,
//                            retained: first LSN from which the raw log is complete u64,
//                            first LSN from which all tombstones are kept u64, revision of the next data file u32,
//                            rewind floor u64,
//                            cut: last LSN that stays u64, term u32 and owner 20 of the record behind it that goes,
//                            0 for no cut,
//                            refetch: LSN u64, term u32 and owner 20 up to which the log was held before damage was cut,
//                            0 for none; an owner of which every bit is set is not known,
//                            keys: count u32, then (table u32, keys u64) each,
//                            role: two strings, u16 length and bytes each,
//                            registry: length u32 and bytes (opaque here: the replication registry),
//                            data set: see `DataSetState`,
//                            era of the log u64, how far the log went: LSN u64, term u32 and owner 20, first LSN of the
//                            newest segment u64; the newest catalog record: length u32 and bytes,
//                            vote ceiling term u32: the node voted in no later term,
//                            reigns that began by a mere start: count u32, then (term u32, owner 20, mark u64) each
//       .    . all of the above once more: one damaged copy costs nothing
//
// Format 6 ends behind the registry, and has one copy.
//
// Written beside the old ones, flushed, renamed, directory flushed. Segments younger than the list are found by name.
public struct DirectoryFile: Equatable, Sendable {
  public struct SealedSegment: Equatable, Sendable {
    public var name: LogFileName
    public var firstLSN: LSN { name.firstLSN }
    public var lastLSN: LSN
    public var bytes: UInt64
    public var checksum: UInt32
    /// See `Segment.cleanUpTo`.
    public var cleanUpTo: LSN
    public init(name: LogFileName, lastLSN: LSN, bytes: UInt64, checksum: UInt32, cleanUpTo: LSN = .none) {
      self.name = name
      self.lastLSN = lastLSN
      self.bytes = bytes
      self.checksum = checksum
      self.cleanUpTo = cleanUpTo
    }
  }
  public struct Vote: Equatable, Sendable {
    public var term: Term
    public var candidate: NodeID?
    public init(term: Term, candidate: NodeID?) {
      self.term = term
      self.candidate = candidate
    }
  }

  /// An order to cut the log. It stands from the generation of the cut on until the cut is done; a later generation is
  /// without it before anything is appended.
  public struct Cut: Equatable, Sendable {
    /// The log ends here.
    public var afterLSN: LSN
    /// The reign of the record behind `afterLSN` that goes; one of another reign is not what was to be cut.
    public var reign: Reign
    public init(afterLSN: LSN, reign: Reign) {
      self.afterLSN = afterLSN
      self.reign = reign
    }
  }

  public var generation: UInt64 = 0
  public var node: NodeID
  /// The id of the data set: the same on all nodes that share a history.
  public var lineage: NodeID
  /// Which `store-<n>` directory holds the files.
  public var storeNumber: UInt32 = 1
  public var vote = Vote(term: .none, candidate: nil)
  public var terms = TermHistory()
  public var segments: [SealedSegment] = []
  /// The log is complete from this LSN on.
  public var logStart = LSN(1)
  /// All tombstones from this LSN on are kept.
  public var tombstonesFrom = LSN(1)
  public var nextRevision: UInt32 = 1
  /// The log can be cut back to here and no further; see `LogStore.rewindFloor`.
  public var rewindFloor = LSN.none
  public var cut: Cut?
  /// Damage was cut out of the log, which had reached this far before. Until it does again, this node must not be taken for
  /// one that holds what it may have acknowledged.
  public var refetchTo: Position?
  /// How many keys each table had when this was written: a start makes room for them.
  public var keys: [UInt32: UInt64] = [:]
  public var registry: [UInt8] = []
  /// Counts how often the log was replaced or shortened on purpose: what was noted of an older era is no claim any more.
  public var era: UInt64 = 0
  /// How far the log had gone when this was written.
  public var reach = LogReach.none
  /// The record with the newest catalog, as it stands in the log: damage there costs nothing.
  public var catalogRecord: [UInt8] = []
  /// Whom the node follows since its role changed while it ran: `self`, an address, or empty if it never did; and what it
  /// was started with then. A start with the same goes on in that role.
  public var role = ""
  public var startRole = ""
  public var dataSet = DataSetState()
  /// The node voted in no term after this one. The vote itself has files of its own (`VoteFile`); when they are lost, this
  /// bounds the terms of which nothing is known. nil: as version 6, in which `vote` was the only place.
  public var voteCeiling: Term? = Term.none
  /// Reigns of this data set that began by a mere start of a node, without votes or an order, as far as is known.
  public var startReigns: [StartMark] = []

  /// Orders a cut: nothing that this names lies behind `lsn`, which is not below the rewind floor.
  public mutating func cutBack(to lsn: LSN, reign: Reign) {
    precondition(rewindFloor <= lsn && reign.term > .none, "a cut to LSN \(lsn), below the floor \(rewindFloor)")
    segments.removeAll { $0.lastLSN > lsn && !$0.name.isData }
    precondition(segments.allSatisfy { $0.lastLSN <= lsn }, "a data file reaches beyond LSN \(lsn)")
    // What a record behind the cut had replaced is alive again.
    for i in segments.indices { segments[i].cleanUpTo = min(segments[i].cleanUpTo, lsn) }
    terms = terms.upTo(lsn)
    logStart = min(logStart, lsn.next)
    tombstonesFrom = min(tombstonesFrom, lsn.next)
    cut = Cut(afterLSN: lsn, reign: reign)
    if let copy = catalogCopy, copy.lsn > lsn { catalogRecord = [] }
    beginEra()
  }

  /// LSN and value of the catalog record that it has a copy of; nil if there is none, or it is no good record.
  var catalogCopy: (lsn: LSN, value: [UInt8])? {
    catalogRecord.withUnsafeBytes { raw in
      guard raw.count >= RecordView.headerBytes, let base = raw.baseAddress else { return nil }
      let record = RecordView(base)
      guard record.verify(available: raw.count) == .good, record.kind == RecordKind.catalog.rawValue else { return nil }
      return (LSN(record.lsn), [UInt8](record.value))
    }
  }

  /// The log is another one from here on, or ends earlier on purpose.
  public mutating func beginEra() {
    era += 1
    reach = .none
  }

  public static let suffix = ".dir"
  public static let magic: UInt64 = 0x0700_0052_4944_4C50  // "PLDIR\0\0\7"
  static let magic6: UInt64 = 0x0600_0052_4944_4C50
  static let headerBytes = 16

  public init(node: NodeID, lineage: NodeID) {
    self.node = node
    self.lineage = lineage
  }

  public static func name(_ generation: UInt64) -> String { SegmentFormat.name(LSN(generation), suffix: suffix) }
  public static func generation(inName name: String) -> UInt64? {
    SegmentFormat.firstLSN(inName: name, suffix: suffix)?.value
  }

  public func encoded() -> [UInt8] {
    var body = ByteWriter(capacity: 256)
    body.u64(generation)
    body.raw(node.bytes)
    body.raw(lineage.bytes)
    body.u32(storeNumber)
    body.u32(vote.term.value)
    body.u8(UInt8(vote.candidate?.bytes.count ?? 0))
    if let candidate = vote.candidate { body.raw(candidate.bytes) }
    body.u32(UInt32(terms.entries.count))
    for entry in terms.entries {
      Self.write(entry.reign, to: &body)
      body.u64(entry.firstLSN.value)
    }
    body.u32(UInt32(segments.count))
    for segment in segments {
      body.u64(segment.firstLSN.value)
      body.u32(segment.name.revision)
      body.u64(segment.lastLSN.value)
      body.u64(segment.bytes)
      body.u32(segment.checksum)
      body.u64(segment.cleanUpTo.value)
    }
    body.u64(logStart.value)
    body.u64(tombstonesFrom.value)
    body.u32(nextRevision)
    body.u64(rewindFloor.value)
    body.u64(cut?.afterLSN.value ?? 0)
    Self.write(cut?.reign ?? .none, to: &body)
    body.u64(refetchTo?.lsn.value ?? 0)
    Self.write(refetchTo?.reign ?? .none, to: &body)
    body.u32(UInt32(keys.count))
    for (table, count) in keys.sorted(by: { $0.key < $1.key }) {
      body.u32(table)
      body.u64(count)
    }
    for text in [role, startRole] {
      body.u16(UInt16(text.utf8.count))
      body.raw(Array(text.utf8))
    }
    body.u32(UInt32(registry.count))
    body.raw(registry)
    dataSet.write(to: &body)
    body.u64(era)
    body.u64(reach.durable.lsn.value)
    Self.write(reach.durable.reign, to: &body)
    body.u64(reach.begun.value)
    body.u32(UInt32(catalogRecord.count))
    body.raw(catalogRecord)
    body.u32((voteCeiling ?? vote.term).value)
    body.u32(UInt32(startReigns.count))
    for start in startReigns {
      Self.write(start.reign, to: &body)
      body.u64(start.mark)
    }
    var file = ByteWriter(capacity: 2 * (body.bytes.count + Self.headerBytes))
    for _ in 0..<2 {
      file.u64(Self.magic)
      file.u32(UInt32(body.bytes.count))
      file.u32(CRC32C.checksum(body.bytes))
      file.raw(body.bytes)
    }
    return file.bytes
  }

  private static func write(_ reign: Reign, to body: inout ByteWriter) {
    body.u32(reign.term.value)
    body.raw(reign.owner.bytes)
  }
  private static func reign(_ reader: inout ByteReader) throws -> Reign {
    Reign(term: Term(try reader.u32()), owner: NodeID(random: try reader.raw(NodeID.byteCount)))
  }

  public enum Unreadable: Error, CustomStringConvertible {
    case otherFormat
    case damaged(String)
    public var description: String {
      switch self {
      case .otherFormat: "not a directory file of this version"
      case .damaged(let why): why
      }
    }
  }

  public init(decoding bytes: [UInt8]) throws(Unreadable) {
    self = try Self.decode(bytes).file
  }

  /// - Returns: what the file says, and what is wrong with one of its two copies if one is damaged.
  public static func decode(_ bytes: [UInt8]) throws(Unreadable) -> (file: DirectoryFile, damage: String?) {
    if let old = try? copy(bytes, magic: magic6) { return (old, nil) }
    guard bytes.count % 2 == 0 else { throw .damaged("it has not two copies of one length") }
    let half = bytes.count / 2
    var reasons: [Unreadable] = []
    var copies: [DirectoryFile] = []
    for part in [bytes.prefix(half), bytes.dropFirst(half)] {
      do throws(Unreadable) { copies.append(try copy(Array(part), magic: magic)) } catch { reasons.append(error) }
    }
    guard let file = copies.last else { throw reasons.first ?? .otherFormat }
    guard let reason = reasons.first else {
      guard copies[0] == file else { throw .damaged("its two copies differ") }
      return (file, nil)
    }
    return (file, "one of its two copies: \(reason)")
  }

  private static func copy(_ bytes: [UInt8], magic wanted: UInt64) throws(Unreadable) -> DirectoryFile {
    do {
      var reader = ByteReader(bytes)
      let magic = try reader.u64()
      guard magic == wanted else { throw Unreadable.otherFormat }
      let count = Int(try reader.u32())
      let checksum = try reader.u32()
      let body = try reader.raw(count)
      guard reader.remaining == 0 else { throw Unreadable.damaged("bytes follow the body") }
      guard CRC32C.checksum(body) == checksum else { throw Unreadable.damaged("the body's checksum is wrong") }
      return try decodeBody(body, isFormat6: wanted == magic6)
    } catch let error as Unreadable {
      throw error
    } catch {
      throw .damaged("\(error)")
    }
  }

  private static func decodeBody(_ body: [UInt8], isFormat6: Bool) throws -> DirectoryFile {
    var reader = ByteReader(body)
    let generation = try reader.u64()
    var file = DirectoryFile(
      node: NodeID(random: try reader.raw(NodeID.byteCount)), lineage: NodeID(random: try reader.raw(NodeID.byteCount)))
    file.generation = generation
    file.storeNumber = try reader.u32()
    file.vote.term = Term(try reader.u32())
    let candidate = Int(try reader.u8())
    guard candidate == 0 || candidate == NodeID.byteCount else { throw Unreadable.damaged("the vote is malformed") }
    if candidate > 0 { file.vote.candidate = NodeID(random: try reader.raw(candidate)) }
    var terms: [TermHistory.Entry] = []
    for _ in 0..<(try reader.u32()) {
      terms.append(.init(try reign(&reader), firstLSN: LSN(try reader.u64())))
    }
    guard let history = TermHistory(terms) else { throw Unreadable.damaged("the term history does not rise") }
    file.terms = history
    for _ in 0..<(try reader.u32()) {
      file.segments.append(
        SealedSegment(
          name: LogFileName(firstLSN: LSN(try reader.u64()), revision: try reader.u32()),
          lastLSN: LSN(try reader.u64()), bytes: try reader.u64(), checksum: try reader.u32(),
          cleanUpTo: LSN(try reader.u64())))
    }
    file.logStart = LSN(try reader.u64())
    file.tombstonesFrom = LSN(try reader.u64())
    file.nextRevision = try reader.u32()
    file.rewindFloor = LSN(try reader.u64())
    let cut = Cut(afterLSN: LSN(try reader.u64()), reign: try reign(&reader))
    if cut.reign.term > .none { file.cut = cut }
    let refetchLSN = LSN(try reader.u64())
    let refetchTo = Position(try reign(&reader), lsn: refetchLSN)
    if refetchTo > .none { file.refetchTo = refetchTo }
    for _ in 0..<(try reader.u32()) { file.keys[try reader.u32()] = try reader.u64() }
    file.role = String(decoding: try reader.raw(Int(try reader.u16())), as: UTF8.self)
    file.startRole = String(decoding: try reader.raw(Int(try reader.u16())), as: UTF8.self)
    file.registry = try reader.raw(Int(try reader.u32()))
    file.voteCeiling = nil
    if !isFormat6 {
      file.dataSet = try DataSetState(reading: &reader)
      file.era = try reader.u64()
      let durable = LSN(try reader.u64())
      file.reach.durable = Position(try reign(&reader), lsn: durable)
      file.reach.begun = LSN(try reader.u64())
      file.catalogRecord = try reader.raw(Int(try reader.u32()))
      file.voteCeiling = Term(try reader.u32())
      for _ in 0..<(try reader.u32()) {
        file.startReigns.append(StartMark(try reign(&reader), mark: try reader.u64()))
      }
    }
    guard reader.remaining == 0 else { throw Unreadable.damaged("bytes follow the last field") }
    guard file.generation <= OutsideNumber.limit, file.storeNumber <= 1 << 31, file.nextRevision <= 1 << 31,
      file.era <= OutsideNumber.limit
    else {
      throw Unreadable.damaged("a number that no node reaches")
    }
    for (a, b) in zip(file.segments, file.segments.dropFirst()) where a.lastLSN >= b.firstLSN {
      throw Unreadable.damaged("the segments at LSN \(a.firstLSN) and \(b.firstLSN) overlap")
    }
    for segment in file.segments where segment.firstLSN == .none || segment.lastLSN < segment.firstLSN {
      throw Unreadable.damaged("the segment at LSN \(segment.firstLSN) ends before it begins")
    }
    return file
  }
}
