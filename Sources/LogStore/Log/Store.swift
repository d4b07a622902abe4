// Raw memory: the addresses of the active segment and of the open unit's last record.
import Core
import Synchronization

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
  public let identity = StoreIdentity()
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

  /// Where the segments lie, by slot.
  @usableFromInline let addresses: SegmentAddresses
  var slots = SegmentSlots()
  /// What the databases of the catalog are.
  @usableFromInline let tables: Tables
  /// Which record is whose newest, and what hangs on it.
  @usableFromInline let keyspace: Keyspace
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
  /// The master's wall clock, milliseconds; moved by the shell.
  @inlinable public var wallClock: UInt64 {
    get { keyspace.wallClock }
    set { keyspace.wallClock = newValue }
  }
  public internal(set) var terms = TermHistory()
  /// On a slave: how far the index follows the log, as a place.
  var applyCursor = LogCursor.unplaced

  /// The newest catalog that is applied. Under the write lock.
  public var catalog: Catalog { tables.catalog }
  /// The voters of the newest catalog record in the log, applied or not: a configuration counts from when it is appended
  /// (D. Ongaro, "Consensus: Bridging Theory and Practice", 2014, 4.1). Under the write lock.
  public internal(set) var votersInLog: [NodeID] = []
  /// Follows another node's log: clients' writes are refused.
  public private(set) var isReplica = false
  public func setReplica(_ replica: Bool, _ access: borrowing WriteAccess) { isReplica = replica }

  // Commit state.
  /// Bytes of records in the segments that were filled since the start; together with those in the active one, less
  /// `writtenBytes`, it is what waits for the disk. Under the write lock.
  @usableFromInline var closedBytes = 0
  /// Bytes of records that were written since the start, and those that the active segment had then.
  @usableFromInline let writtenBytes = Atomic<Int>(0)
  /// Bytes of records appended since the start, as of the end of the newest batch that wrote.
  @usableFromInline let appendedBytesSeen = Atomic<Int>(0)
  let sealQueue = SealQueue()
  /// Where the records of the active segment began that count as appended since the start.
  @usableFromInline var activeRecordsAt = 0
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
    addresses = SegmentAddresses()
    tables = Tables(epochs: epochs, databases: configuration.databases)
    keyspace = Keyspace(tables: tables, addresses: addresses)
    active = .nowhere()
    activeBase = UnsafeMutableRawPointer(bitPattern: 64)!
    identity.store = self
  }

  deinit {
    identity.store = nil
    epochs.freeAll()
    addresses.free()
  }

  public static func hashSeed(of lineage: NodeID) -> UInt64 {
    lineage.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  // MARK: Tables

  /// How many databases the data set has. Any thread, one load.
  public var databases: Int { tables.count }

  /// The table behind a database; an empty one if the data set has no such database (any more). Valid inside an epoch or
  /// under the write lock.
  @inlinable @inline(__always) public func table(_ database: Int) -> TableReference { tables[database] }

  // MARK: Figures, under the write lock

  public func keyCount(_ database: Int) -> Int {
    tables.keyCount(database)
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
  public func figures(_ access: borrowing WriteAccess) -> Figures {
    var figures = Figures()
    figures.indexBytes = tables.indexBytes
    for segment in segmentList.withLock({ $0 }) {
      let used = segment === active ? activeUsed : segment.used
      figures.dataBytes += used
      figures.liveBytes += keyspace.live.byteCount(slot: segment.slot)
      if segment.isInMemory { figures.residentBytes += used }
      figures.segments += 1
      if segment.name.isData { figures.dataFiles += 1 }
    }
    figures.replacedFiles = replacedFiles
    figures.expiring = keyspace.expiring
    return figures
  }
}
