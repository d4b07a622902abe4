#if PACELINE_PLANTED_BUGS
  /// A mistake that a build made for it makes on purpose, to see that the simulator finds it. Not in any other build: see
  /// CONTRIBUTING.
  public enum PlantedBug: String, CaseIterable, Sendable {
    /// Replies leave before the log is flushed.
    case acknowledgeBeforeFlush = "ack-before-sync"
    /// The active segment is never flushed, though it is said to be.
    case skipFlush = "skip-sync"
    /// A filled segment is not flushed.
    case skipFilledFlush = "skip-filled-sync"
    /// A new segment's name is not made durable.
    case skipDirectoryFlush = "skip-directory-sync"
    /// A new generation's name is not made durable.
    case skipGenerationFlush = "skip-generation-sync"
    /// A read does not wait for what it saw.
    case readBeforeGate = "read-before-gate"
    /// A write does not wait for its level.
    case ignoreLevel = "ignore-level"
    /// Slaves are told that everything is committed.
    case commitEverything = "commit-everything"
    /// Compaction drops tombstones that older records still need.
    case dropTombstones = "drop-tombstones"
    /// Terms are not compared when a slave's history is.
    case ignoreTerms = "ignore-terms"
    /// Nobody owns a term: two masters of one look the same.
    case ignoreOwners = "ignore-owners"
    /// A vote is not written down.
    case forgetVote = "forget-vote"
    /// A slave acknowledges what it has not flushed.
    case acknowledgeUnflushed = "ack-unsynced"
    /// A node at its start appends before its term has begun.
    case appendBeforeReign = "append-before-reign"
    /// A master answers however long it has not heard a majority.
    case ignoreLease = "ignore-lease"
    /// A slave that is still syncing counts for the commit.
    case countSyncing = "count-syncing"
    /// A slave is believed before it has shown what it holds.
    case believeEverybody = "believe-everybody"

    /// Set once, before the first node starts.
    // Safe to share: only read while nodes run.
    nonisolated(unsafe) public static var planted: PlantedBug?
    @inlinable public var isPlanted: Bool { Self.planted == self }
  }
#endif
