// Raw memory: bytes on their way to and from a connection.
import Core
import LogStore
import Replication

/// What a node needs of the world around it: sockets, threads and clocks in the server, one seeded queue in the
/// simulator. A node calls from any thread.
package protocol NodeHost: AnyObject, Sendable {
  /// Goes only forward.
  var monotonic: Tick { get }
  var wall: WallClock { get }
  var nodeConfiguration: NodeConfiguration { get }
  /// The role that the node was started with.
  var startRole: Role { get }
  /// A number that nobody can tell in advance.
  func drawLot() -> UInt64

  // Work

  /// Where the link to the master lives. Blocking there is allowed.
  var upstreamLoop: any WorkLoop { get }
  /// Where a slave's stream lives; another one each time, if there are several. Blocking there is allowed.
  func relayLoop() -> any WorkLoop
  /// How many threads pay off for work that is split.
  var cores: Int { get }
  /// Runs `body(0..<count)`, all at once if it can, and waits for all.
  var parallel: ParallelRunner { get }
  /// Runs beside the caller; the result waits for its end.
  func beside(_ name: String, _ work: @escaping @Sendable () -> Void) -> any Joinable
  /// Blocks for so long; only where blocking is allowed.
  func pause(milliseconds: Int)

  // Connections

  /// Connects to another node. The receiver lives on `loop`, and hears of a failure as of a closed connection.
  func connect(_ address: NodeAddress, on loop: any WorkLoop, to receiver: sending any ConnectionReceiver)
  /// Ends a client's connection that is not a stream yet.
  func closeClient(_ link: LinkID)

  // The commit

  /// Something was appended.
  func wakeCommit()
  /// Writes and flushes what is appended now. Blocks.
  @discardableResult func commitNow() -> CommitResult
  /// Runs while no commit does.
  func betweenCommits<Result>(_ body: () throws -> Result) rethrows -> Result
  /// Another store is the one to commit.
  func commits(in store: LogStore)

  // The clients' loops

  /// Every loop goes over to this store between two batches; returns when all have. Blocks.
  func moveReaders(to store: LogStore)
  /// A hint for quick refusals: what counts is the store's own flag.
  func takesWrites(_ yes: Bool)
  /// Replies may have become good.
  func commitAdvanced()
  /// Acks, positions or the role changed: suspended commands look again.
  func stateChanged()
  /// Writes wait in their connections, before anything of them has happened; or go on.
  func pauseWrites(_ yes: Bool)

  // Background work

  /// The next step of this duty is due now.
  func wake(_ duty: BackgroundDuty)
  /// Clients write nothing any more, and slaves get the rest of the log before the process ends.
  var isEnding: Bool { get }
}

/// Runs work one after the other.
package protocol WorkLoop: AnyObject, Sendable {
  func execute(_ work: @escaping @Sendable () -> Void)
  func schedule(afterMilliseconds: UInt64, _ work: @escaping @Sendable () -> Void)
  func every(milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) -> any Cancellable
}

package protocol Cancellable: Sendable { func cancel() }
package protocol Joinable: Sendable { func join() }

/// A connection between two nodes, as who writes to it sees it. Any thread.
package protocol NodeConnection: AnyObject, Sendable {
  /// False while the other side takes no more: what is sent nevertheless is kept.
  var isWritable: Bool { get }
  /// Sends the bytes that `fill` puts into at most `capacity` bytes; returns how many.
  @discardableResult
  func send(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) -> Int
  /// After what was sent has left.
  func close()
}

extension NodeConnection {
  @discardableResult
  package func send(_ bytes: [UInt8]) -> Int {
    send(capacity: bytes.count) { space in
      space.copyBytes(from: bytes)
      return bytes.count
    }
  }
}

/// Who reads a connection. On one loop; never called again inside a call.
package protocol ConnectionReceiver: AnyObject {
  func opened(_ connection: any NodeConnection)
  /// All bytes that were not taken yet. Returns how many are taken now.
  func received(_ bytes: UnsafeRawBufferPointer) -> Int
  /// Nothing can be taken before so many bytes are there.
  var wantedBytes: Int { get }
  func writabilityChanged(_ isWritable: Bool)
  /// Closed, by whomever, or never opened.
  func closed(_ reason: String)
}

/// When a write is on disk.
package enum Durability: String, Sendable, CaseIterable {
  /// Acknowledged after the group commit is on disk.
  case fsync
  /// Flushed every so many milliseconds; acknowledged at once.
  case interval
  /// Written, and flushed at leisure; acknowledged at once.
  case none

  /// How long written records may stay unflushed; nil where every commit flushes. What clients do not wait for is flushed all
  /// the same: what is not on disk replaces nothing, so without it nothing could be compacted or dropped.
  package func flushPauseMilliseconds(interval: Int) -> UInt64? {
    switch self {
    case .fsync: nil
    case .interval: UInt64(max(0, interval))
    case .none: Self.leisureMilliseconds
    }
  }
  package static let leisureMilliseconds: UInt64 = 5000
}

/// What of the settings concerns a node without its surroundings.
package struct NodeConfiguration: Sendable {
  /// The address that other nodes are told.
  package var address: NodeAddress
  package var durability = Durability.fsync
  package var store = StoreConfiguration()
  /// `--databases`: what a start as the master raises the data set's number to.
  package var databases = 16
  package var masterPassword: String?
  /// What other nodes ask for.
  package var peerPassword: String?
  package var slavesMax = 64
  package var slaveLeaseMilliseconds: UInt64 = 24 * 3600 * 1000
  package var slavePinBytesMax: UInt64 = 64 << 30
  package var syncRateBytes: UInt64 = 0
  package var syncMode = RequestedSyncMode.auto
  package var acceptDataLoss = false
  /// `--forget-terms-above`: what this node knows of later terms is given up at the start.
  package var forgetTermsAbove: Term?
  /// The nodes of the row, the same on all of them, in the order of who begins it; empty: it is not named.
  package var peers: [NodeAddress] = []
  /// `--new-data-set`: this node's data set is the one that counts.
  package var beginsDataSet = false
  /// How long a store that was given up is kept; 0: not at all.
  package var replacedKeepSeconds: UInt64 = 7 * 24 * 3600
  package var walKeepBytes = 64 << 20
  package var compaction = CompactionSetting()
  package var scrub = ScrubSetting()
  /// How often a master sends a digest of its data to its slaves.
  package var digestIntervalMilliseconds: UInt64 = 5000
  package var commit = CommitSetting()
  /// What happens when slaves do not answer in time, and how many writes may wait for them.
  package var sync = CommitWatchConfig()
  package var minSlaves = MinSlaves()
  /// `--read-lease`: where a quorum commits, nothing is shown that a master of a majority elsewhere may have replaced.
  package var readLease = true
  /// May be one of the nodes that make a quorum.
  package var isVoter = true
  /// `--voters-max`: so many voters come by themselves.
  package var votersMax = 5
  /// Where nobody votes, nodes that do not hear each other take different terms, nearly always. Without it they often take
  /// the same: for tests of what happens then.
  package var sharesOutTerms = true
  package init(address: NodeAddress) { self.address = address }
}

/// `--commit`: the level that every write has at least, and how many slaves `fullsync` waits for.
package struct CommitSetting: Hashable, Sendable {
  package var level = RecordLevel.async
  package var slaves = 1
  package init(level: RecordLevel = .async, slaves: Int = 1) {
    self.level = level
    self.slaves = slaves
  }
}
