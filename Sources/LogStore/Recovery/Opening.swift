import Core

/// What opening a store found and did, for the log and for `INFO`.
public struct RecoveryReport: Sendable {
  public var segments = 0
  public var records = 0
  public var replayedRecords = 0
  public var rebuiltIndexes: [String] = []
  /// Bytes of a torn tail, cut.
  public var cutBytes = 0
  public var notes: [String] = []
  public init() {}
}

/// Why a store cannot be opened. The text says what to do.
public struct OpenError: Error, CustomStringConvertible, Sendable {
  public let description: String
  /// A file that the generation names is missing or damaged: an older generation may name others.
  public let isDamage: Bool
  /// The damage is behind the sealed segments: another node's records could take the place of what is there.
  public let tail: TailDamage?
  public init(_ description: String, isDamage: Bool = false, tail: TailDamage? = nil) {
    self.description = description
    self.isDamage = isDamage
    self.tail = tail
  }
}

/// Runs `body(0..<count)` at once on as many threads; the shell provides it, the simulator runs them in turn.
public typealias ParallelRunner = @Sendable (_ count: Int, _ body: @escaping @Sendable (Int) -> Void) -> Void

extension LogStore {
  /// Makes an empty store.
  public static func create(
    fileSystem: any FileSystem, directory: String, lineage: NodeID, configuration: StoreConfiguration
  ) throws(FileError) -> LogStore {
    try fileSystem.makeDirectory(directory)
    let store = LogStore(fileSystem: fileSystem, directory: directory, lineage: lineage, configuration: configuration)
    return store
  }

  /// Stands for a store that is not open yet: it is empty and takes nothing.
  public static func unopened(
    fileSystem: any FileSystem, directory: String, lineage: NodeID, configuration: StoreConfiguration, why: String
  ) -> LogStore {
    let store = LogStore(fileSystem: fileSystem, directory: directory, lineage: lineage, configuration: configuration)
    store.retire(why)
    return store
  }

  /// Opens the store in `directory`: loads the index files of the sealed segments, replays what follows them and cuts a
  /// torn tail. Damage anywhere else is refused. A cut that the generation orders is carried out first.
  ///
  /// Shown is what is good by being on disk here: `positions.applied` may be less than what is there, see `Recovery.good`.
  ///
  /// - Parameters:
  ///   - listed: the sealed segments of the newest generation.
  ///   - workers: how many threads `run` may use.
  ///   - reach: how far the log had gone: one that ends earlier has lost something, which is damage.
  ///   - note: where that is written down, and for which era of the log; nil for a store that no generation names.
  ///   - reserve: space for when the disk is full.
  ///   - cutsDamage: damage behind the sealed segments is cut with all that follows it, as a torn tail is. The caller has
  ///     written down before that the log reached further.
  public static func open(
    fileSystem: any FileSystem, directory: String, lineage: NodeID, configuration: StoreConfiguration,
    generation: DirectoryFile, workers: Int, run: ParallelRunner, cutsDamage: Bool = false, reach: LogReach = .none,
    note: (file: ReachFile, era: UInt64)? = nil, reserve: SpaceReserve? = nil
  ) throws -> (LogStore, RecoveryReport) {
    let store = LogStore(fileSystem: fileSystem, directory: directory, lineage: lineage, configuration: configuration)
    if let reserve { store.keepSpace(in: reserve) }
    if let note { store.noteReach(in: note.file, era: note.era) }
    let cut = try RecoveryCut(
      fileSystem: fileSystem, directory: directory, generation: generation, reserve: reserve
    ).carryOut()
    var recovery = Recovery(store: store, generation: generation, reach: reach, cutsDamage: cutsDamage)
    if let cut { recovery.report.notes.append(cut) }
    try WriteAccess.toUnsharedStore { access in
      try recovery.findSegments(access)
      try recovery.scanTail()
      try recovery.loadSealed(workers: workers, run: run, access)
      try recovery.replayTail(access)
    }
    return (store, recovery.report)
  }
}
