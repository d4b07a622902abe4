// Raw memory: the tables of segment addresses and of per-segment counters.
import Core
import Synchronization

/// How the store is set up; every limit is checked by `validate`.
public struct StoreConfiguration: Sendable {
  /// Size of a segment. At most 64 MiB: an index entry reaches no further.
  public var segmentBytes = 32 << 20
  /// Memory for the newest part of the log: feeds slaves without disk reads.
  public var opsBufferBytes = 16 << 20
  /// Bytes appended and not yet written to disk, beyond which writers are held back. One batch of commands may go beyond
  /// it, by its last record and a MiB.
  public var unwrittenBytesMax = 64 << 20
  public var valueBytesMax = 64 << 20
  public var keyBytesMax = RecordView.keyBytesMax
  /// Of a data set whose log names no number: the newest catalog record there counts more.
  public var databases = 16
  /// How values are stored at the start; `LogStore.compression` may change later.
  public var compression = ValueCompression.none
  public init() {}

  public func validate() -> String? {
    if segmentBytes < 4096 || segmentBytes > 64 << 20 || segmentBytes % 8 != 0 {
      return "segment-bytes must be a multiple of 8 from 4096 to \(64 << 20), not \(segmentBytes)"
    }
    if valueBytesMax < 1 || valueBytesMax > 512 << 20 {
      return "value-bytes-max must be from 1 to \(512 << 20), not \(valueBytesMax)"
    }
    if keyBytesMax < 1 || keyBytesMax > RecordView.keyBytesMax {
      return "key-bytes-max must be from 1 to \(RecordView.keyBytesMax), not \(keyBytesMax)"
    }
    if databases < 1 || databases > Catalog.databasesMax {
      return "databases must be from 1 to 65535, not \(databases)"
    }
    if opsBufferBytes < 0 { return "ops-buffer must not be negative" }
    if unwrittenBytesMax < 1 << 20 { return "the limit of unwritten bytes must be at least 1 MiB" }
    return nil
  }
}

/// The four positions of the log, each on its own cache line.
public final class LogPositions: @unchecked Sendable {
  // Safe to share: atomics.
  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
  init() {
    words = .allocate(capacity: 40)
    for i in 0..<40 { (words + i).initialize(to: Atomic(0)) }
  }
  deinit { words.deallocate() }
  /// In the log's memory.
  @inlinable @inline(__always) public var appended: LSN { LSN(words[0].load(ordering: .acquiring)) }
  /// Handed to the operating system: survives the end of the process.
  @inlinable @inline(__always) public var written: LSN { LSN(words[8].load(ordering: .acquiring)) }
  /// Synced to disk: survives a power cut.
  @inlinable @inline(__always) public var durable: LSN { LSN(words[16].load(ordering: .acquiring)) }
  /// Good at its commit level.
  @inlinable @inline(__always) public var committed: LSN { LSN(words[24].load(ordering: .acquiring)) }
  /// In the key index, visible to reads here.
  @inlinable @inline(__always) public var applied: LSN { LSN(words[32].load(ordering: .acquiring)) }

  @inlinable @inline(__always) func set(appended lsn: LSN) { words[0].store(lsn.value, ordering: .releasing) }
  func set(written lsn: LSN) { words[8].store(lsn.value, ordering: .releasing) }
  func set(durable lsn: LSN) { words[16].store(lsn.value, ordering: .releasing) }
  public func set(committed lsn: LSN) { words[24].store(lsn.value, ordering: .releasing) }
  @inlinable @inline(__always) func set(applied lsn: LSN) { words[32].store(lsn.value, ordering: .releasing) }
}

/// What readers need of the table behind a database, at a fixed address while it is bound. The store owns the index.
public struct TableState {
  public let id: UInt32
  /// LSN of the catalog record that bound it; 0 for the first tables.
  public let boundAt: UInt64
  public let index: Unmanaged<KeyIndex>
}
public typealias TableReference = UnsafeMutablePointer<TableState>

/// The log and its index: one `store-<n>` directory.
///
/// Threads: `find` and the positions by anyone inside an epoch; everything that changes the log or the index under
/// `writeLock`; `commit` by one commit thread; `maintain` by one maintenance thread. The store starts no thread and
/// reads no clock.
///
/// Invariants: LSNs are contiguous while appending; an index entry points at a record of its table that is complete in
/// memory; `durable <= written <= appended`, `applied <= appended`.
public final class LogStore: @unchecked Sendable {
  // Safe to share: see "Threads" above.
  public let fileSystem: any FileSystem
  public let directory: String
  public let lineage: NodeID
  public let hashSeed: UInt64
  public let configuration: StoreConfiguration
  public let positions = LogPositions()
  public let epochs = EpochDomain()
  public let writeLock = WriteLock()
  let pool = SegmentMemoryPool()
  /// Dictionaries of mapped data files, by slot.
  let dictionaries: SlotDictionaries
  @usableFromInline let compressionSetting: Atomic<UInt8>

  // Segment tables, by slot.
  /// Address of a segment's first byte; bit 0 set for a mapped file, whose records are verified at every read.
  @usableFromInline let bases: UnsafeMutablePointer<Atomic<UInt>>
  /// Bytes of records that the index points at, by segment and MiB of its file: what is alive and newer than an LSN is
  /// a sum over these. 64 words a segment, addressed by the upper bits of an index entry.
  @usableFromInline let liveBuckets: UnsafeMutablePointer<Int32>
  @usableFromInline let liveRecords: UnsafeMutablePointer<Int32>
  /// Size of a segment's mapping or memory; set before its base is published.
  let mappedEnds: UnsafeMutablePointer<Int>
  var freeSlots: [Int] = []
  var nextSlot = 1
  /// All segments, oldest first. The list has its own lock so that log readers do not meet the writers.
  let segmentList = Mutex<[Segment]>([])

  // The active segment. Under the write lock.
  var active: Segment
  @usableFromInline var activeBase: UnsafeMutableRawPointer
  @usableFromInline var activeUsed = 0
  @usableFromInline var activeCapacity = 0
  @usableFromInline var activeSlot = 0
  @usableFromInline var lastLSN: UInt64 = 0
  @usableFromInline var currentTerm: UInt32 = 0
  /// A transaction is open: its records carry `unitContinues` but for the last one.
  @usableFromInline var inUnit = false
  @usableFromInline var unitLastRecord: UnsafeMutableRawPointer?
  /// On a slave: the last record of the log is not the last of its unit.
  var replicatedUnitIsOpen = false
  @usableFromInline var lastRecordBytes = 0
  /// The commit level of what is appended next, as flag bits. Always that of `levels`.
  @usableFromInline var levelFlags: UInt8 = 0
  @usableFromInline let gated = Atomic<Bool>(false)
  /// Which levels the end of the log waits for.
  var levels = PendingLevels()
  @usableFromInline var lastLandmark = 0
  var wheel = ExpiryWheel()
  /// The master's wall clock, milliseconds; moved by the shell.
  public var wallClock: UInt64 = 0
  public internal(set) var terms = TermHistory()
  /// On a slave: how far the index follows the log, as a place.
  var applyCursor = LogCursor.unplaced

  // Tables. Under the write lock, but for `databaseTables`, which readers follow.
  public private(set) var catalog: Catalog
  /// The voters of the newest catalog record in the log, applied or not: a configuration counts from when it is appended
  /// (D. Ongaro, "Consensus: Bridging Theory and Practice", 2014, 4.1). Under the write lock.
  public internal(set) var votersInLog: [NodeID] = []
  /// The catalog's commit levels as it encodes them, for readers without the write lock.
  @usableFromInline let databaseLevels: UnsafeMutablePointer<Atomic<UInt8>>
  @usableFromInline let databaseTables: UnsafeMutablePointer<Atomic<UInt>>
  /// How many of `databaseTables` are bound: always the catalog's number.
  private let boundDatabases = Atomic<Int>(0)
  var indexes: [UInt32: KeyIndex] = [:]
  /// Where the newest catalog record is; it must outlive compaction.
  var catalogEntry = IndexEntry.empty

  /// Follows another node's log: clients' writes are refused. Under the write lock.
  public var isReplica = false

  // Commit state.
  /// Bytes of records in the segments that were filled since the start; together with those in the active one, less
  /// `writtenBytes`, it is what waits for the disk. Under the write lock.
  @usableFromInline var closedBytes = 0
  /// Bytes of records that were written since the start, and those that the active segment had then.
  @usableFromInline let writtenBytes = Atomic<Int>(0)
  /// Bytes of records appended since the start, as of the end of the newest batch that wrote.
  @usableFromInline let appendedBytesSeen = Atomic<Int>(0)
  /// Bytes of filled segments that are written and not sealed yet, and whether the last attempt to seal failed.
  @usableFromInline let unsealedBytes = Atomic<Int>(0)
  @usableFromInline let sealingFails = Atomic<Bool>(false)
  /// Where the records of the active segment began that count as appended since the start.
  @usableFromInline var activeRecordsAt = 0
  let commitState = Mutex(CommitState())
  @usableFromInline let refusal = Atomic<UInt8>(0)
  let failureText = Mutex<String>("")
  let damage = Mutex<[DamagedPlace]>([])
  /// Space for when the disk is full; nil for a store that is not the node's.
  let spaceReserve = Mutex<SpaceReserve?>(nil)
  /// Writes are refused because a reign cannot begin without room.
  let waitsForRoom = Atomic<Bool>(false)
  /// The generation's copy of the newest catalog record, as of the start.
  var knownCatalog: (lsn: LSN, bytes: [UInt8])?
  /// Where the log notes how far it went; nil while no generation names this store.
  let reachNote = Mutex<ReachNote?>(nil)
  /// First LSN of the newest segment whose file was begun.
  let begunLSN = Atomic<UInt64>(0)
  /// Dropped or compacted pieces whose files are still there.
  let droppedFiles = Mutex<[LogFileName]>([])
  public internal(set) var logStart: LSN = LSN(1)
  /// No tombstone from this LSN on was dropped: a copy of the data that is older misses deletions. Under the write lock.
  public internal(set) var tombstonesFrom: LSN = LSN(1)
  /// The log can be cut back to this LSN and no further: up to here records may have been dropped because of newer ones.
  /// Not below the last LSN of a data file. Under the write lock.
  public internal(set) var rewindFloor = LSN.none
  /// LSN of the newest catalog record, for threads without the write lock.
  let catalogLSN = Atomic<UInt64>(0)
  var newestCatalogLSN: UInt64 { catalogLSN.load(ordering: .acquiring) }
  /// The revision of the next data file. Under the write lock.
  var nextRevision: UInt32 = 1
  /// Who changes entries of the key indexes beside the writers. Under the write lock; one at a time.
  var indexChange = IndexChange.none
  enum IndexChange { case none, compaction, delta }
  /// Operations that did not find the record which they replace. Under the write lock.
  var missed = MissedOperations()
  /// The highest LSN of a piece that was taken out of the log since the start. Under the write lock.
  var newestRemoved = LSN.none
  /// The same, for threads without the write lock.
  let publishedLogStart = Atomic<UInt64>(1)

  /// An empty store in memory; nothing is written before the first commit. To read an existing one use `open`.
  init(fileSystem: any FileSystem, directory: String, lineage: NodeID, configuration: StoreConfiguration) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.lineage = lineage
    self.configuration = configuration
    hashSeed = LogStore.hashSeed(of: lineage)
    dictionaries = SlotDictionaries(epochs: epochs)
    compressionSetting = Atomic(configuration.compression.code)
    let slots = IndexEntry.segmentSlotsMax
    // Fresh pages are zero and cost memory only where they are touched.
    bases = UnsafeMutableRawPointer(LogStore.zeroPages(slots * 8)).bindMemory(to: Atomic<UInt>.self, capacity: slots)
    liveBuckets = UnsafeMutableRawPointer(LogStore.zeroPages(slots * 64 * 4))
      .bindMemory(to: Int32.self, capacity: slots * 64)
    mappedEnds = UnsafeMutableRawPointer(LogStore.zeroPages(slots * 8)).bindMemory(to: Int.self, capacity: slots)
    liveRecords = UnsafeMutableRawPointer(LogStore.zeroPages(slots * 4)).bindMemory(to: Int32.self, capacity: slots)
    catalog = Catalog(databases: configuration.databases)
    let most = Catalog.databasesMax
    databaseTables = UnsafeMutableRawPointer(LogStore.zeroPages(most * 8))
      .bindMemory(to: Atomic<UInt>.self, capacity: most)
    databaseLevels = UnsafeMutableRawPointer(LogStore.zeroPages(most)).bindMemory(
      to: Atomic<UInt8>.self, capacity: most)
    active = Segment(slot: 0, name: LogFileName(firstLSN: LSN(1)), capacity: 0, used: 0)
    activeBase = UnsafeMutableRawPointer(bitPattern: 64)!
    bindTables()
  }

  deinit {
    epochs.freeAll()
    for db in 0..<databases { TableReference(bitPattern: databaseTables[db].load(ordering: .relaxed))?.deallocate() }
    LogStore.freePages(databaseTables, Catalog.databasesMax * 8)
    LogStore.freePages(databaseLevels, Catalog.databasesMax)
    LogStore.freePages(bases, IndexEntry.segmentSlotsMax * 8)
    LogStore.freePages(liveBuckets, IndexEntry.segmentSlotsMax * 64 * 4)
    LogStore.freePages(mappedEnds, IndexEntry.segmentSlotsMax * 8)
    LogStore.freePages(liveRecords, IndexEntry.segmentSlotsMax * 4)
  }

  public static func hashSeed(of lineage: NodeID) -> UInt64 {
    lineage.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  // MARK: Tables

  /// How many databases the data set has. Any thread, one load.
  public var databases: Int { boundDatabases.load(ordering: .acquiring) }

  /// The table of a database that the data set does not have: empty, and nothing is ever put into it.
  @usableFromInline nonisolated(unsafe) static let nowhere: TableReference = {
    let table = TableReference.allocate(capacity: 1)
    table.initialize(to: TableState(id: 0, boundAt: 0, index: .passRetained(KeyIndex(epochs: EpochDomain()))))
    return table
  }()

  /// Makes `databaseTables` follow the catalog. What no database uses any more is freed when readers are done.
  /// - Parameter lsn: of the catalog record; a read through a table bound by it saw that record.
  func bindTables(at lsn: UInt64 = 0) {
    let wanted = Set(catalog.tables)
    for (id, index) in indexes where !wanted.contains(id) {
      indexes[id] = nil
      epochs.retire { withExtendedLifetime(index) {} }
    }
    unbindTables(from: catalog.tables.count)
    for (db, id) in catalog.tables.enumerated() {
      let old = TableReference(bitPattern: databaseTables[db].load(ordering: .relaxed))
      if let old, old.pointee.id == id { continue }
      let index = indexes[id] ?? KeyIndex(epochs: epochs)
      indexes[id] = index
      let table = TableReference.allocate(capacity: 1)
      table.initialize(to: TableState(id: id, boundAt: lsn, index: .passUnretained(index)))
      databaseTables[db].store(UInt(bitPattern: table), ordering: .releasing)
      if let old {
        let address = UInt(bitPattern: old)
        epochs.retire { TableReference(bitPattern: address)!.deallocate() }
      }
    }
    boundDatabases.store(catalog.tables.count, ordering: .releasing)
  }

  /// Databases from this one on are none any more.
  func unbindTables(from first: Int) {
    let bound = databases
    guard first < bound else { return }
    boundDatabases.store(first, ordering: .releasing)
    for db in first..<bound {
      let address = databaseTables[db].exchange(0, ordering: .acquiringAndReleasing)
      databaseLevels[db].store(0, ordering: .releasing)
      epochs.retire { TableReference(bitPattern: address)?.deallocate() }
    }
  }

  /// The tables of a delta take the places of the old ones. Under the write lock.
  func rebind(_ tables: [TableReference]) {
    unbindTables(from: tables.count)
    for (database, table) in tables.enumerated() {
      let before = databaseTables[database].exchange(UInt(bitPattern: table), ordering: .acquiringAndReleasing)
      guard before != UInt(bitPattern: table) else { continue }
      epochs.retire { TableReference(bitPattern: before)?.deallocate() }
    }
    boundDatabases.store(tables.count, ordering: .releasing)
  }

  /// The catalog that counts from now on. Under the write lock; `bindTables` follows.
  func setCatalog(_ new: Catalog) {
    catalog = new
    for (database, level) in new.levels.enumerated() {
      databaseLevels[database].store(level.map { $0.rawValue + 1 } ?? 0, ordering: .releasing)
    }
  }

  /// The table behind a database; an empty one if the data set has no such database (any more). Valid inside an epoch or
  /// under the write lock.
  @inlinable @inline(__always) public func table(_ database: Int) -> TableReference {
    TableReference(bitPattern: databaseTables[database].load(ordering: .acquiring)) ?? LogStore.nowhere
  }

  // MARK: Figures, under the write lock

  /// Bytes of live records in a segment.
  func liveBytes(slot: Int) -> Int {
    var sum = 0
    for bucket in slot << 6..<(slot + 1) << 6 { sum += Int(liveBuckets[bucket]) }
    return sum
  }
  func clearCounters(slot: Int) {
    (liveBuckets + slot << 6).update(repeating: 0, count: 64)
    liveRecords[slot] = 0
  }

  public func keyCount(_ database: Int) -> Int {
    table(database).pointee.index._withUnsafeGuaranteedRef { $0.count }
  }
  public struct Figures: Sendable {
    public var indexBytes = 0
    public var dataBytes = 0
    public var liveBytes = 0
    /// Records that nothing refers to any more, and tombstones.
    public var deadBytes: Int { max(0, dataBytes - liveBytes) }
    public var residentBytes = 0
    public var segments = 0
    public var dataFiles = 0
    /// Replaced files that older generations still name.
    public var replacedFiles = 0
    public var expiring = 0
  }
  public func figures() -> Figures {
    var figures = Figures()
    for index in indexes.values { figures.indexBytes += index.allocatedBytes }
    for segment in segmentList.withLock({ $0 }) {
      let used = segment === active ? activeUsed : segment.used
      figures.dataBytes += used
      figures.liveBytes += liveBytes(slot: segment.slot)
      if segment.memory != nil { figures.residentBytes += used }
      figures.segments += 1
      if segment.name.isData { figures.dataFiles += 1 }
    }
    figures.replacedFiles = replacedFiles
    figures.expiring = wheel.count
    return figures
  }

  /// The digest of every database, at the applied LSN.
  public struct DatabaseDigest: Equatable, Sendable {
    public let database: Int
    public let table: UInt32
    public let sum: UInt64
    public let keys: Int
  }
  public func digests() -> [DatabaseDigest] {
    (0..<databases).map { db in
      let table = table(db)
      return table.pointee.index._withUnsafeGuaranteedRef {
        DatabaseDigest(database: db, table: table.pointee.id, sum: $0.digest, keys: $0.count)
      }
    }
  }
}
