import Commands
import Core
import LogStore
import Node
import Replication

/// When writes are good, who votes, and what keeps them from it.
struct CommitStatus: Sendable {
  /// A master's promise of a majority that nobody else reigns.
  enum Lease: String, Sendable { case none, held, ended }

  let level: String
  let isDegraded: Bool
  let pendingRecords: UInt64
  let pendingBytes: Int
  let bar: WriteBar
  let lease: Lease
  let mayVote: Bool
  let voters: [NodeID]
  let votersMax: Int
  let votersWaiting: String
  let voteUnsureUpTo: Term
  let rewinds: UInt64
  let lostRecords: UInt64
  let lostFiles: [String]

  init(_ server: ServerCore) {
    let settings = server.configuration
    let node: NodeCore = server.node
    let store = server.store
    let positions = store.positions
    (voters, pendingBytes) = store.withWriteLock { _ in (store.votersInLog, Int(store.pendingBytes)) }
    pendingRecords = positions.appended.value - min(positions.appended.value, positions.committed.value)
    level = Setting.named("commit")?.read(settings) ?? ""
    isDegraded = node.commitment.isDegraded
    bar = server.writeBar
    let leaseEnd = node.readLease.load(ordering: .relaxed)
    lease = leaseEnd == .max ? .none : Clocks.monotonic.milliseconds < leaseEnd ? .held : .ended
    mayVote = settings.voter
    votersMax = settings.votersMax
    votersWaiting = node.commitment.votersWaiting ?? ""
    voteUnsureUpTo = node.voteUnsureUpTo
    rewinds = UInt64(clamping: node.rewinds.load(ordering: .relaxed))
    lostRecords = UInt64(clamping: node.lostRecords.load(ordering: .relaxed))
    lostFiles = node.lostFiles.withLock { Array($0) }
  }

  private var refusedWrites: String {
    switch bar {
    case .none: "no"
    case .fewSlaves: "min-slaves"
    case .queueFull: "queue"
    case .otherDataSet: "other-data-set"
    }
  }

  static let fields: [StatusField<CommitStatus>] = [
    .init("commit_level", .none, "the server's level") { .text($0.level) },
    .init("commit_degraded", .none, "1 while writes are good without the slaves") { .flag($0.isDegraded) },
    .init("commit_pending_records", .records, "what is not good yet") { .number($0.pendingRecords) },
    .init("commit_pending_bytes", .bytes, "its size") { .count($0.pendingBytes) },
    .init(
      "writes_refused", .none,
      "on the master: `no`, `min-slaves` (fewer keep up than `--min-slaves`), `queue` (too many writes wait for slaves) "
        + "or `other-data-set`"
    ) { .text($0.refusedWrites) },
    .init(
      "read_lease", .none,
      "with `quorum`, on the master: `held`, or `ended` while no majority is heard of; `none` where it is not asked"
    ) { .text($0.lease.rawValue) },
    .init("voter", .none, "whether this node may be a voter") { .flag($0.mayVote) },
    .init("voters", .none, "the nodes that vote") { .list($0.voters.map(\.description)) },
    .init("voters_max", .count, "how many come by themselves") { .count($0.votersMax) },
    .init(
      "voters_waiting", .none,
      "on the master: why the voters are not what they should be (a silent one, no majority, `--voters-max`), and which "
        + "command to give"
    ) { .text(singleLine($0.votersWaiting, bytesMax: 2048)) },
    .init(
      "vote_unsure_up_to_term", .term,
      "this node lost its vote and takes no part in terms up to this one; 0: it is sure"
    ) { .text($0.voteUnsureUpTo.description) },
    .init("rewinds", .count, "how often this node's log was cut back since the start") { .number($0.rewinds) },
    .init("lost_records", .records, "how many records went to `lost-*.resp` by that") { .number($0.lostRecords) },
    .init("lost_files", .none, "these files, also of earlier starts, for as long as they are in the data directory") {
      .list($0.lostFiles)
    },
  ]
}

/// What keeps this node from the data set that it should have, and what it gave up.
struct DataSetStatus: Sendable {
  let isConfirmed: Bool
  let other: NodeID?
  let otherNode: String?
  let waitsForPeers: String?
  let replaced: [ReplacedStore]

  init(_ server: ServerCore) {
    let rival = server.node.rival
    isConfirmed = server.directory.current.dataSet.isConfirmed
    other = rival?.lineage ?? server.replication.upstream.view.refusedLineage
    otherNode = rival.map { "\($0.place)" }
    waitsForPeers = server.node.waitsForPeers
    replaced = server.directory.replacedStores
  }

  static let fields: [StatusField<DataSetStatus>] = [
    .init("data_set_confirmed", .none, "whether an operator said that this node's data set counts") {
      .flag($0.isConfirmed)
    },
    .init(
      "other_data_set", .none,
      "the data set that claims this master's place; on a slave, the one that its master holds"
    ) { .text($0.other?.description ?? "") },
    .init("other_data_set_node", .none, "the node that holds it") { .text($0.otherNode ?? "") },
    .init("waits_for_peers", .none, "what a start without data waits for (`--peers`); empty otherwise") {
      .text($0.waitsForPeers ?? "")
    },
    .init("replaced_stores", .none, "data that was given up and is kept aside") { .list($0.replaced.map(\.name)) },
    .init("replaced_stores_bytes", .bytes, "its size") { .number($0.replaced.reduce(UInt64(0)) { $0 + $1.bytes }) },
  ]
}
