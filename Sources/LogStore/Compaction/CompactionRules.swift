import Core

/// How far compaction may go: pure values, measured by the shell.
public struct CompactionBounds: Equatable, Sendable {
  /// Durable, committed and applied here, and held by every slave that has a pin: what a record up to here replaced is
  /// not needed by a crash, and not by this node if it must rewind to another's log.
  public var settled: LSN
  /// The lowest LSN that a pinned slave still reads from the raw log. Pieces that reach it stay as they are.
  public var neededFrom: LSN
  public init(settled: LSN, neededFrom: LSN) {
    self.settled = settled
    self.neededFrom = neededFrom
  }
}

/// What becomes of one record when its piece of the log is compacted. The whole rule, without IO.
///
/// | record | goes when |
/// |---|---|
/// | put | a settled record replaced or deleted it, or a settled catalog record dropped its table |
/// | delete | the same; or its key is gone, no older record of the key is left on disk and no pinned slave is behind it |
/// | catalog | a newer, settled catalog record is there |
/// | no-op | always: the term history keeps the terms |
public enum CompactionRules {
  /// What the index says about the key of a record.
  public enum Newest: Equatable, Sendable {
    /// The key's newest record has this LSN.
    case record(LSN)
    /// The key is not there; the newest removal that this may rest on has this LSN.
    case absent(lastRemoval: LSN)
    /// The table is dropped, by a catalog record up to this LSN.
    case tableDropped(by: LSN)
    /// A damaged record is in the way: nothing can be told.
    case unknown
  }

  public enum Fate: Equatable, Sendable {
    case keep
    case drop
    /// Dead, but what replaced it could still be undone.
    case keepUntilSettled
    /// A tombstone that is dropped: copies of the data older than it can no longer be brought up by a delta.
    case dropTombstone
  }

  public static func fate(
    kind: RecordKind, lsn: LSN, newest: Newest, newestCatalog: LSN, bounds: CompactionBounds, olderCleanUpTo: LSN
  ) -> Fate {
    func dead(by replacing: LSN) -> Fate { replacing <= bounds.settled ? .drop : .keepUntilSettled }
    switch kind {
    case .noop: return .drop
    case .catalog: return lsn == newestCatalog ? .keep : dead(by: newestCatalog)
    case .put:
      switch newest {
      case .record(let newer): return newer == lsn ? .keep : dead(by: newer)
      case .absent(let removal): return dead(by: removal)
      case .tableDropped(let catalog): return dead(by: catalog)
      case .unknown: return .keep
      }
    case .delete:
      switch newest {
      case .record(let newer): return newer > lsn ? dead(by: newer) : .keep
      case .tableDropped(let catalog): return dead(by: catalog)
      case .unknown: return .keep
      case .absent(let removal):
        guard removal <= bounds.settled else { return .keepUntilSettled }
        return lsn < bounds.neededFrom && lsn <= olderCleanUpTo ? .dropTombstone : .keep
      }
    }
  }
}

/// Which records of the log a delta up to an LSN consists of. The whole rule, without IO.
///
/// Whoever has the state before the delta, and these records, has the state at `upTo`. The index that is asked may be
/// ahead of `upTo`: what a record newer than `upTo` replaced was alive then, or something between the two was, which is
/// sent for the same reason.
///
/// | record | is left out when |
/// |---|---|
/// | put | a record up to `upTo` replaced or deleted it, or dropped its table |
/// | delete | its key was written again up to `upTo`, or its table dropped |
/// | catalog | a newer one up to `upTo` is there |
/// | no-op | always: the end of a delta carries the terms |
public enum DeltaRules {
  /// - Parameter upTo: not above what the index has seen.
  public static func isSent(
    kind: RecordKind, lsn: LSN, newest: CompactionRules.Newest, newestCatalog: LSN, upTo: LSN
  ) -> Bool {
    switch kind {
    case .noop: return false
    case .catalog: return newestCatalog <= lsn || newestCatalog > upTo
    case .put, .delete:
      switch newest {
      case .record(let newer): return newer <= lsn || newer > upTo
      case .absent(let removal): return kind == .delete || removal > upTo
      case .tableDropped(let catalog): return catalog > upTo
      case .unknown: return true
      }
    }
  }
}
