import Core

/// What was measured, in units per second; 0 = not measured yet, then a cautious default counts.
package struct MeasuredRates: Hashable, Sendable {
  package var diskReadBytes: UInt64
  package var networkBytes: UInt64
  package var applyRecords: UInt64
  package var applyBytes: UInt64
  /// How fast a slave loads received files into its index (it reads `.idx` files, not values).
  package var fileLoadBytes: UInt64
  package init(
    diskReadBytes: UInt64 = 0, networkBytes: UInt64 = 0, applyRecords: UInt64 = 0, applyBytes: UInt64 = 0,
    fileLoadBytes: UInt64 = 0
  ) {
    self.diskReadBytes = diskReadBytes
    self.networkBytes = networkBytes
    self.applyRecords = applyRecords
    self.applyBytes = applyBytes
    self.fileLoadBytes = fileLoadBytes
  }
  /// Low guesses for a small virtual machine.
  package static let cautious = MeasuredRates(
    diskReadBytes: 200_000_000, networkBytes: 100_000_000, applyRecords: 400_000, applyBytes: 80_000_000,
    fileLoadBytes: 1_000_000_000)
  var known: MeasuredRates {
    func pick(_ path: KeyPath<MeasuredRates, UInt64>) -> UInt64 {
      self[keyPath: path] > 0 ? self[keyPath: path] : Self.cautious[keyPath: path]
    }
    return MeasuredRates(
      diskReadBytes: pick(\.diskReadBytes), networkBytes: pick(\.networkBytes), applyRecords: pick(\.applyRecords),
      applyBytes: pick(\.applyBytes), fileLoadBytes: pick(\.fileLoadBytes))
  }
}

/// Everything the planner looks at. Positions of the slave come from the slave and are not trusted to be sensible.
package struct PlannerInput: Hashable, Sendable {
  /// What the store can do for a delta from the last common LSN. nil in `PlannerInput.delta` = not offered.
  package struct DeltaOffer: Hashable, Sendable {
    /// Of the live records newer than the last common LSN, and of the tombstones among them.
    package var liveBytes: UInt64
    package var liveRecords: UInt64
    /// No tombstone with this LSN or a higher one was dropped. A slave behind it would keep deleted keys.
    package var tombstonesFrom: LSN
    /// The slave clones its key index before it swaps the changes in; 0 = not worth counting.
    package var indexBytes: UInt64
    package init(liveBytes: UInt64, liveRecords: UInt64, tombstonesFrom: LSN, indexBytes: UInt64 = 0) {
      self.liveBytes = liveBytes
      self.liveRecords = liveRecords
      self.tombstonesFrom = tombstonesFrom
      self.indexBytes = indexBytes
    }
  }

  package var mode = RequestedSyncMode.auto
  // The slave, as it says
  package var slavePosition = Position.none
  package var slaveHistory = TermHistory()
  package var slaveLineage: NodeID?
  package var resume: ResumeState?
  /// Both ends know how to do a delta.
  package var isDeltaNegotiated = false
  /// Both ends know how to cut a tail that the master does not have off the slave's log.
  package var isRewindNegotiated = false
  /// The lowest LSN that the slave can cut its log back to; nil: it cannot.
  package var slaveRewindFloor: LSN?
  package var slaveID = NodeID.unknown
  /// Up to here the slave knows that its log is committed.
  package var slaveCommitted = LSN.none
  /// An operator lets the slave give up what the master does not hold.
  package var slaveAcceptsCut = false
  /// This node is the master, or hears from it. One that hears none may be on its way to another role: no slave cuts
  /// anything for it.
  package var hearsMaster = true
  /// Reigns that began by a mere start, as far as the master knows.
  package var startReigns: [StartMark] = []
  /// The same, as far as the slave knows.
  package var slaveStarts: [StartMark] = []
  // The master
  package var masterTerm = Term.none
  package var masterLast = LSN.none
  /// Committed on the master; nil = all of it. It is the barrier: compaction drops only what a committed record
  /// replaced, so from here on files and log together are one moment.
  package var masterCommitted: LSN?
  package var masterHistory = TermHistory()
  package var masterLineage: NodeID
  /// Every record from this LSN on is in the log, nothing compacted away. `masterLast.next` if there is no log at all.
  package var logRawFrom = LSN(1)
  /// Raw log bytes after `commonLSN` (see `SyncPlanner.commonLSN`) to the end.
  package var logBytesAfterCommon: UInt64 = 0
  /// The files a full sync would send; their snapshot id is the one being planned or the kept one of a cut sync.
  package var manifest: FileManifest
  /// Everything up to this LSN is in those files.
  package var filesLastLSN: LSN { manifest.lastLSN }
  /// Where the log goes on behind the files; what lies between was dropped because all of it was replaced.
  package var logAfterFilesFrom = LSN.none
  package var logBytesAfterFiles: UInt64 = 0
  package var delta: DeltaOffer?
  package var deltaUnavailableReason = "this version has no delta sync"
  /// What clients are expected to write meanwhile, per second.
  package var expectedRecordsPerSecond: UInt64 = 0
  package var expectedBytesPerSecond: UInt64 = 0
  package var rates = MeasuredRates()
  package var ratios = LinkRatios()
  /// The largest body of a bulk frame, before compression.
  package var frameBodyBytes = RelayConfig().readBytesMax
  /// `--sync-rate`, bytes per second; 0 = no limit.
  package var syncRateBytesMax: UInt64 = 0

  package init(masterLineage: NodeID, manifest: FileManifest = FileManifest(snapshot: .none, files: [])) {
    self.masterLineage = masterLineage
    self.manifest = manifest
  }
}
