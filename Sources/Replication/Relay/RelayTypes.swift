import Core

package struct RelayConfig: Hashable, Sendable {
  /// Sent and not yet acknowledged; a slow slave waits here and is never closed for it.
  package var windowBytesMax: UInt64 = 64 << 20
  /// One read, and so one frame: what fits a processor's cache on its way through checksum, copy and socket on both
  /// sides. Larger pieces are slower, and clients wait for them.
  package var readBytesMax = 128 << 10
  package var heartbeatIntervalMilliseconds: UInt64 = 1000
  package var silenceMillisecondsMax: UInt64 = 30_000
  /// `--sync-rate`; 0 = no limit. Files and catching up only, never the live stream.
  package var syncBytesPerSecond: UInt64 = 0
  /// How long sync traffic may be held back by live traffic at a time.
  package var yieldMillisecondsMax: UInt64 = 100
  package init() {}
}

/// What the planner chose, made ready to send. The shell has pinned log and files before it hands this over.
package struct RelayPlan: Hashable, Sendable {
  package var begin: SyncBegin
  /// A full sync's only.
  package var manifest: FileManifest?
  /// Bytes of each file that the slave holds, by file number.
  package var held: [UInt64: UInt64]
  package init(begin: SyncBegin, manifest: FileManifest? = nil, held: [UInt64: UInt64] = [:]) {
    self.begin = begin
    self.manifest = manifest
    self.held = held
  }

  /// What a plan leads to; nil for a refusal. The input is the one that the plan was made from.
  package init?(_ report: PlanReport, _ input: PlannerInput) {
    guard let reply = report.reply else { return nil }
    let manifest = reply.mode == .full ? input.manifest : nil
    self.init(
      begin: SyncBegin(
        mode: reply.mode, snapshot: reply.snapshot, startLSN: reply.startLSN, barrierLSN: reply.barrierLSN,
        lineage: input.masterLineage, fileCount: reply.fileCount, fileBytes: reply.fileBytes, logBytes: reply.logBytes,
        history: input.masterHistory,
        tombstonesFrom: reply.mode == .full ? input.delta?.tombstonesFrom ?? .none : .none),
      manifest: manifest, held: manifest.flatMap { input.resume?.usableBytes(in: $0) } ?? [:])
  }
}

/// Where in the list of files the relay stands.
package struct FileCursor: Hashable, Sendable {
  package var index: Int
  package var offset: UInt64
}

/// What one read of the filtered log gave: records that are alive, and how far the log has been looked at.
package struct DeltaPiece: Hashable, Sendable {
  package struct Records: Hashable, Sendable {
    package var firstLSN: LSN
    package var lastLSN: LSN
    /// Of the last one.
    package var term: Term
    package var count: Int
    package var bytes: Int
    package init(firstLSN: LSN, lastLSN: LSN, term: Term, count: Int, bytes: Int) {
      self.firstLSN = firstLSN
      self.lastLSN = lastLSN
      self.term = term
      self.count = count
      self.bytes = bytes
    }
  }
  /// nil: nothing that was looked at is alive.
  package var records: Records?
  package var scannedTo: LSN
  /// crc32c of all records so far, one behind the other, seeded by the piece before.
  package var checksum: UInt32
  /// The log was looked at up to the LSN that was asked for: its terms up to there. nil = there is more.
  package var endHistory: TermHistory?
  package init(records: Records?, scannedTo: LSN, checksum: UInt32, endHistory: TermHistory? = nil) {
    self.records = records
    self.scannedTo = scannedTo
    self.checksum = checksum
    self.endHistory = endHistory
  }
}

package enum RelayState: Hashable, Sendable {
  case planning
  case sendingFiles(FileCursor)
  /// Walking the log for what is alive; everything up to `scannedTo` has been looked at.
  case sendingDelta(scannedTo: LSN)
  /// Catching up to the barrier.
  case sendingLog(next: LSN)
  /// Past the barrier.
  case streaming(next: LSN)
  case closed(ReplicationError)
}

package enum RelayEvent: Sendable {
  case start(RelayPlan)
  /// The log has these records to send; `committed` is what slaves may show. Also tells of a new term.
  case logAdvanced(last: LSN, committed: LSN, term: Term, masterClock: WallClock, masterAge: UInt32 = 0)
  /// Answer to `readLog`: whole records, ready to send. `term`: of the last one.
  case logRead(firstLSN: LSN, lastLSN: LSN, term: Term, bytes: Int)
  /// Answer to `readFile`.
  case fileRead(number: UInt64, offset: UInt64, bytes: Int)
  /// Answer to `readDelta`.
  case deltaRead(DeltaPiece)
  /// Answer to `readLog`: that LSN is not in the log any more. Answer to `readDelta`: a tombstone that the slave needs
  /// may be gone.
  case logGone(availableFrom: LSN, ReplicationError)
  case readFailed(ReplicationError)
  case acked(Ack)
  /// Bytes that are no ack: not from a slave that we know how to serve.
  case peerFailed(ReplicationError)
  case writable(Bool)
  /// Slaves in sync wait for the link: log goes before files.
  case liveTrafficWaiting(Bool)
  case rateChanged(bytesPerSecond: UInt64)
  case broadcast(FrameType, [UInt8], at: LSN)
  case tick(masterClock: WallClock, masterAge: UInt32 = 0)
  case linkLost
}

package enum RelayAction: Hashable, Sendable {
  /// A small frame with this body.
  case sendControl(FrameHeader, [UInt8])
  /// Read at most so many bytes of whole records. If the first is larger, that one alone. At most one read is under way.
  case readLog(from: LSN, bytesMax: Int)
  case readFile(number: UInt64, offset: UInt64, bytes: Int)
  /// Read on in the filtered log: whole records, at most so many bytes of them, none newer than `upTo` (if the first is
  /// larger, that one alone). A record may be left out only if the one that replaced it has an LSN of at most `upTo`:
  /// what replaced it must be inside the delta, whose barrier is not below any `upTo`. The shell asks the store again,
  /// after the read, whether all tombstones are still there; it keeps one reader for the delta and drops it at
  /// `streaming` or `close`. At most one read is under way.
  case readDelta(upTo: LSN, bytesMax: Int)
  /// Send what was just read behind this header, compressed or not; the shell sets lengths and compression. A record
  /// larger than a body goes as the header's `parts()`.
  case sendRead(FrameHeader)
  /// For the registry: so far it has been handed to the socket.
  case sent(upTo: LSN, fileBytes: UInt64)
  case progress(SyncProgress)
  /// Everything up to the barrier has been sent; the frames before it are what the sync cost on the wire.
  case streaming
  /// No file of the snapshot is needed on this stream any more: the slave acknowledged the barrier.
  case releaseFiles(SnapshotID)
  /// Step again at this tick.
  case wake(at: Tick)
  /// After the frames before it have left.
  case close(ReplicationError)
}
