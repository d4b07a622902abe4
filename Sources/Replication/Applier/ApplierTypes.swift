import Core

package struct ApplierConfig: Hashable, Sendable {
  package var backoffMillisecondsMin: UInt64 = 100
  package var backoffMillisecondsMax: UInt64 = 5000
  package var connectMillisecondsMax: UInt64 = 10_000
  package var silenceMillisecondsMax: UInt64 = 30_000
  /// A fraction of `ReadLease.milliseconds`.
  package var ackIntervalMilliseconds: UInt64 = 250
  package init() {}
}

/// What this node is and holds, as the shell reads it from the store at each connection to a master.
package struct LocalFacts: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var capabilities = Capabilities.all
  /// Every node that gets its data through this one.
  package var chain: [NodeID] = []
  package var lineage: NodeID?
  package var history = TermHistory()
  package var durableLSN = LSN.none
  package var appliedLSN = LSN.none
  package var mode = RequestedSyncMode.auto
  package var acceptDataLoss = false
  /// The newest term that this node voted in or has a record of, of this data set. A master of an older term is none any
  /// more. When a node takes over another data set (`adoptLineage`, `swapIn`), its vote goes with the old one.
  package var knownReign = Reign.none
  package var isVoter = false
  /// This node was the master of `knownReign`, and was told to follow another one.
  package var yields = false
  /// The lowest LSN that the store can cut its log back to; nil: it cannot. It keeps what a cut from there on needs.
  package var rewindFloor: LSN?
  /// Up to here this node knows that a quorum holds the log; `none` where no quorum is asked. Not to be cut.
  package var securedLSN = LSN.none
  /// Where a quorum commits: the lists of voters that the log names, the oldest first.
  package var voterLists: [VoterList] = []
  /// Up to here it was told that its log is committed.
  package var committedLSN = LSN.none
  /// Reigns that began by a mere start, as far as it knows.
  package var starts: [StartMark] = []
  /// An operator gave an order to follow this master, whatever that costs of this node's log.
  package var isOrdered = false
  /// No master was found behind that order yet: it may lead into a ring, or nowhere, and is undone then.
  package var isOrderOpen = false
  /// What is left on disk of a full sync that was cut.
  package var resume: ResumeState?
  /// The data set that an order made this node take, as it is written down; nil when it has it, or none was ordered.
  package var orderedLineage: NodeID?
  package init(id: NodeID, address: NodeAddress) {
    self.id = id
    self.address = address
  }
  package var position: Position {
    durableLSN == .none ? .none : history.position(at: durableLSN)
  }
  package var hasData: Bool { durableLSN > .none }
}

/// Where records of the stream belong.
package enum LogTarget: Hashable, Sendable {
  /// Behind this node's own log.
  case own
  /// Behind the files of the snapshot that is being received.
  case staged
}

/// Files of a full sync on their way in.
package struct FileReception: Hashable, Sendable {
  package let begin: SyncBegin
  package let manifest: FileManifest
  /// The file that comes next or is coming.
  package var index: Int
  package var offset: UInt64
  package var isOpen = false
}

/// A log on its way in.
package struct LogReception: Hashable, Sendable {
  package let begin: SyncBegin
  package let target: LogTarget
  package var check: RecordStreamCheck
  package var durableLSN: LSN
  package var committedLSN: LSN
  package var appliedLSN: LSN
  package var applyingLSN: LSN
  package var masterLastLSN: LSN
  package var isEndSeen = false
  /// Of a record that comes in parts: the bytes so far. 0 = none is under way.
  package var partBytes = 0
  /// Of the delta that this log goes on behind; acks go on naming them, because an ack never goes back.
  package var deltaBytes: UInt64 = 0
}

/// A delta on its way in, beside this node's data, which it does not touch.
///
/// Invariants: `check.lastLSN` >= `afterLSN`; `staged.bytes` <= `receivedBytes`; `end` is set at most once, nothing of
/// the delta comes after it; the node's own log does not grow, so `afterLSN` stays its last LSN.
package struct DeltaReception: Hashable, Sendable {
  package let begin: SyncBegin
  /// The node's own durable LSN: the delta is what changed after it.
  package let afterLSN: LSN
  package var check: DeltaStreamCheck
  /// Before compression, parts included.
  package var receivedBytes: UInt64 = 0
  package var staged = StagedDelta()
  package var appliedLSN: LSN
  package var applyingLSN: LSN
  package var committedLSN: LSN
  package var masterLastLSN: LSN
  /// Of a record that comes in parts: the bytes so far. 0 = none is under way.
  package var partBytes = 0
  package var partLSN: LSN?
  package var end: DeltaEnd?
}

/// What the shell has staged of a delta, all of it together; each record's checksum, LSN and term were right.
package struct StagedDelta: Hashable, Sendable {
  package var records: UInt64 = 0
  package var bytes: UInt64 = 0
  /// crc32c over the bytes of all records, in order.
  package var checksum: UInt32 = 0
  package init(records: UInt64 = 0, bytes: UInt64 = 0, checksum: UInt32 = 0) {
    self.records = records
    self.bytes = bytes
    self.checksum = checksum
  }
}

package enum ApplierState: Hashable, Sendable {
  case detached
  case disconnected(retryAt: Tick)
  case connecting(since: Tick)
  case registering(since: Tick)
  case requestingPlan(since: Tick)
  /// The store cuts its log; until it has answered, no frame is expected.
  case rewinding(SyncReply, to: LSN)
  case awaitingBegin(SyncReply)
  case awaitingManifest(SyncBegin)
  case receivingFiles(FileReception)
  case receivingDelta(DeltaReception)
  /// All of the delta is here and is being put in place.
  case installingDelta(DeltaReception, DeltaEnd)
  case receivingLog(LogReception)
  /// The received copy takes the place of the old data.
  case swapping(LogReception)
  case inSync(LogReception)
}

package enum ApplierEvent: Sendable {
  case attach(NodeAddress, FollowReason = .configured)
  case detach
  /// The link is up and authenticated. The facts are the store's, read now, after everything appended is durable: a
  /// position that the log has already passed would make the master send records twice.
  case connected(LocalFacts)
  case registerReply(RegisterReply)
  case syncReply(SyncReply)
  /// Answer to `rewind`: what the store holds now.
  case rewound(LocalFacts)
  /// An error instead of a reply, as the master wrote it.
  case refused(String)
  case frame(FrameHeader, FrameBody)
  case frameFailed(FrameError)
  /// So many bytes of a file are durable; in the order of the chunks.
  case fileStored(number: UInt64, bytes: UInt64)
  /// After `fileStored` has told of all bytes.
  case fileVerified(number: UInt64, isGood: Bool)
  /// Of the target that records are being appended to.
  case durableAdvanced(LSN)
  case appliedAdvanced(LSN)
  case swappedIn(appliedLSN: LSN)
  /// Answer to `stageDelta`.
  case deltaStaged(StagedDelta)
  /// Answer to `installDelta`: everything up to the barrier is durable and visible here.
  case deltaInstalled(barrierLSN: LSN)
  case storeFailed(String)
  case linkLost(String)
  /// This node gave its vote to a candidate, or heard of a master, of this reign of its data set. From here on nothing
  /// of an older reign's master is taken or acknowledged. The owner of a term in which it only voted is unknown.
  case voted(Reign)
  case tick
}

package enum ApplierAction: Hashable, Sendable {
  case connect(NodeAddress)
  case sendRegister(RegisterRequest)
  case sendSync(SyncRequest)
  case sendAck(Ack)
  /// Keep what lies behind this LSN in a readable file, then cut it off the log and out of what readers see; all of it
  /// durable. Answer with `rewound` before any other event of this link, or with `storeFailed`; a crash leaves the
  /// whole log or the cut one.
  case rewind(to: LSN)
  /// Make the place beside the old data where the snapshot is built, or keep exactly what `keep` names of the same
  /// snapshot: files cut to those bytes, the log behind them cut after the staged LSN.
  case beginSnapshot(SyncBegin, FileManifest, keep: ResumeState?)
  /// Remove what was received of another snapshot.
  case dropSnapshot(SnapshotID)
  /// Open for writing at `offset` and cut off what is behind it.
  case openFile(number: UInt64, offset: UInt64)
  /// Write the body of the present frame there.
  case writeChunk(number: UInt64, offset: UInt64, bytes: Int)
  /// Sync and close it; compare size and, if there is one, the checksum; answer with `fileVerified`.
  case verifyFile(number: UInt64, bytes: UInt64, checksum: UInt32?)
  /// The body of the present frame is a part of one record that is too large for a frame: keep it, in order.
  case keepRecordPart(LogTarget, LSN, bytes: Int)
  /// The body of the present frame, behind the parts that were kept: check each record against LSN and term, then append.
  case appendRecords(LogTarget, firstLSN: LSN, lastLSN: LSN, term: Term)
  /// Make records visible up to here; `clock` decides expiry.
  case applyUpTo(LSN, clock: WallClock)
  /// Take the snapshot and its log as the node's data, visible up to `applyUpTo`; only then drop the old. `lineage`
  /// and `history` go with it. One step on disk: a crash leaves the old data or the new. `keepsOld`: the old data holds
  /// what the new does not, and is set aside.
  case swapIn(SnapshotID, applyUpTo: LSN, lineage: NodeID, history: TermHistory, keepsOld: Bool = false)
  /// Make the place beside the data where a delta of records after this LSN is staged. What an earlier try left goes.
  case beginDelta(afterLSN: LSN, SyncBegin)
  /// The body of the present frame is a part of one record of the delta that is too large for a frame: keep it, in order.
  case keepDeltaPart(LSN, bytes: Int)
  /// The body of the present frame, behind the parts that were kept: check each record (checksum, LSNs that rise from
  /// `firstLSN` to `lastLSN`, the last one's term), then stage them. Answer with `deltaStaged`, or with `storeFailed`.
  case stageDelta(firstLSN: LSN, lastLSN: LSN, term: Term)
  /// Sync what was staged, then take it behind the node's own data in one step, on disk and for readers: a crash leaves
  /// the state before or at the barrier. The log goes on at the barrier's next LSN with these terms; `clock` decides
  /// expiry. Answer with `deltaInstalled` before any other event of this link, or with `storeFailed`.
  case installDelta(DeltaEnd, clock: WallClock)
  /// Remove what was staged. Nothing is left to remove when `installDelta` was answered with `deltaInstalled`.
  case abandonDelta
  /// An empty node takes over the master's data set id.
  case adoptLineage(NodeID)
  /// Write down that an order gives up this node's data for that data set, before anything of it is asked for.
  case noteOrder(NodeID)
  case markOutOfSync
  case markInSync(LSN)
  case slaveListChanged(SlaveList)
  /// The nodes above this one, nearest first: this node's own slaves are to hear of them.
  case upstreamChanged([NodeID])
  case compareDigest(Digest)
  /// Show the master what this node holds: the piece of log as soon as it is durable here, the digest when its LSN is passed.
  case prove(ProofQuestion)
  /// The master gave its reign to this node: everything that counts is durable and visible here. Run `Promotion` with
  /// `handoverTerm`, and detach from the master only when it says `becomeMaster`.
  case takeOver(HandoverOrder)
  /// The master's clock and last LSN, for lag and expiry.
  case masterSeen(lastLSN: LSN, clock: WallClock, age: UInt32 = 0)
  case closeLink(ReplicationError)
  case scheduleRetry(at: Tick)
}
