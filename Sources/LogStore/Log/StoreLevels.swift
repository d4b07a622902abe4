import Core
import Synchronization

/// Commit levels of the records: set by the writers, asked by whoever moves the committed LSN. All under the write lock.
extension LogStore {
  /// The commit level of the records appended from now on. O(1), and next to nothing when it does not change.
  @inlinable @inline(__always)
  public func setLevel(_ level: RecordLevel, _ access: borrowing WriteAccess) {
    if level.flags != levelFlags { changeLevel(level, access) }
  }

  @usableFromInline @inline(never)
  func changeLevel(_ level: RecordLevel, _ access: borrowing WriteAccess) {
    levels.change(to: level, after: LSN(lastLSN))
    levelFlags = level.flags
    // Before the first record of this level is visible.
    if level != .async, !isReplica { gated.store(true, ordering: .releasing) }
  }

  /// The level of the records appended now. Under the write lock.
  @inlinable @inline(__always) public var isAsync: Bool { levelFlags == 0 }

  /// Something that reads find may not be committed although it is durable: they have to look at levels. Any thread, one
  /// load; false in a node where every record has the level `async`.
  @inlinable @inline(__always) public var isGated: Bool { gated.load(ordering: .acquiring) }

  /// Reads look at levels from here on, until `reviewGate` says otherwise.
  public func closeGate() { gated.store(true, ordering: .releasing) }

  /// Looks anew whether reads have to look at levels. Under the write lock, after the committed LSN has moved.
  public func reviewGate(_ access: borrowing WriteAccess) {
    let waits =
      isReplica ? positions.applied > positions.committed : levelFlags != 0 || pendingLevel != .async
    gated.store(waits, ordering: .releasing)
  }

  /// The log begins anew behind `lsn`, which is good.
  func restartLevels(at lsn: LSN, _ access: borrowing WriteAccess) {
    levels = PendingLevels(good: lsn, level: levels.level)
  }

  /// The highest LSN such that every record up to it is good at its own level; never goes back. A level that nobody can
  /// reach has the LSN 0.
  ///
  /// - Parameters:
  ///   - durable: on disk here.
  ///   - fullsync: on disk on as many slaves as `fullsync` waits for.
  ///   - quorum: on disk on a majority of the voters, or on one less beside this node.
  public func committable(durable: LSN, fullsync: LSN, quorum: LSN, _ access: borrowing WriteAccess) -> LSN {
    levels.committable(last: LSN(lastLSN), durable: durable, fullsync: fullsync, quorum: quorum)
  }

  /// How far the log may leave a master that has it on disk up to `durable`: a record that waits for other nodes may be there
  /// first, an `async` one not.
  public func sendable(durable: LSN, _ access: borrowing WriteAccess) -> LSN {
    levels.sendable(last: LSN(lastLSN), durable: durable)
  }

  /// What the records of the log that wait ask for together, since the last `committable`; `async` if none does.
  public var pendingLevel: RecordLevel { levels.pending(last: LSN(lastLSN)) }

  /// Bytes of the log behind the committed LSN, at most a quarter MiB and a record too many. O(segments behind it).
  public var pendingBytes: Int {
    let committed = positions.committed
    guard lastLSN > committed.value else { return 0 }
    var sum = 0
    for segment in segmentList.withLock({ $0 }).reversed() {
      let used = segment === active ? activeUsed : segment.used
      guard segment.firstLSN <= committed else {
        sum += used - segment.recordsAt
        continue
      }
      let last = segment === active ? LSN(lastLSN) : segment.lastLSN
      if last > committed { sum += used - segment.landmark(before: committed.value + 1) }
      break
    }
    return sum
  }

  // MARK: What the catalog says

  /// The level at which writes to a database are committed; nil: the server's. Any thread, one load.
  @inlinable @inline(__always)
  public func tableLevel(_ database: Int) -> RecordLevel? {
    tables.level(database)
  }

  /// The voters of the newest catalog that is applied. Under the write lock.
  public var voters: [NodeID] { catalog.voters }

  /// What the databases ask for together.
  public var tableLevels: RecordLevel {
    (0..<databases).reduce(.async) { $0.joined(tableLevel($1)) }
  }

  /// LSN of the newest catalog record that is applied; 0 if there is none.
  public var catalogRecordLSN: LSN { LSN(newestCatalogLSN) }

  /// On a slave: the master says that everything up to here is good. Under the write lock, before it is applied.
  public func follow(committed lsn: LSN, _ access: borrowing WriteAccess) {
    guard isReplica else { return }
    let reached = committable(durable: lsn, fullsync: lsn, quorum: lsn, access)
    if reached > positions.committed { positions.set(committed: reached) }
    reviewGate(access)
  }
}
