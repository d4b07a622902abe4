import Core

/// A connection as the shell numbers it; never used twice.
package struct LinkID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static func < (a: LinkID, b: LinkID) -> Bool { a.value < b.value }
  package var description: String { "link \(value)" }
}

package struct RegistryConfig: Hashable, Sendable {
  package var ownID: NodeID
  /// `--max-slaves`: slaves connected at one time.
  package var slavesMax = 64
  /// `--slave-lease`: how long a slave that is away keeps its hold on the log.
  package var leaseMilliseconds: UInt64 = 24 * 3600 * 1000
  /// `--wal-keep`: how many log bytes one slave may hold.
  package var pinBytesMax: UInt64 = 16 << 30
  /// A connected slave not heard of for so long counts as gone when another claims its id.
  package var silenceMilliseconds: UInt64 = 30_000
  /// A slave that follows the stream and was heard of within this time keeps its connection when another claims its id.
  package var ackedMilliseconds: UInt64 = 1000
  /// How often moved pins are written to disk. A stale one only keeps more log than needed.
  package var persistIntervalMilliseconds: UInt64 = 10_000
  package init(ownID: NodeID) { self.ownID = ownID }
}

/// What the registry must know about its own node to answer a registration. Given with the event, not kept: all of it
/// moves.
package struct MasterFacts: Hashable, Sendable {
  package var address: NodeAddress
  package var reign: Reign
  package var last: Position
  package var history: TermHistory
  package var lineage: NodeID
  package var hasData: Bool
  package var capabilities: Capabilities
  /// Nodes above this one, nearest first; empty on the first master.
  package var upstream: [NodeID]
  package var isVoter: Bool
  /// Of its log.
  package var voters: [NodeID]?
  /// An operator said that this data set is the one that counts.
  package var isConfirmed = false
  /// A node that holds this data set claims this one's place: nobody new is let in until an operator decides.
  package var rival: NodeID?
  /// Reigns that began by a mere start, as far as it knows.
  package var starts: [StartMark]
  /// - Parameter reign: its own; on a slave the newest of what it has applied.
  package init(
    address: NodeAddress, reign: Reign, last: Position, history: TermHistory, lineage: NodeID, hasData: Bool,
    capabilities: Capabilities = .all, upstream: [NodeID] = [], isVoter: Bool = false, starts: [StartMark] = []
  ) {
    self.address = address
    self.reign = reign
    self.last = last
    self.history = history
    self.lineage = lineage
    self.hasData = hasData
    self.capabilities = capabilities
    self.upstream = upstream
    self.isVoter = isVoter
    self.starts = starts
  }
}

/// A slave's hold on the log: nothing from `fromLSN` on may be dropped or compacted away.
package struct Pin: Hashable, Sendable {
  package var fromLSN: LSN
  /// nil while the slave is connected.
  package var leaseExpiry: Tick?
  package init(fromLSN: LSN, leaseExpiry: Tick? = nil) {
    self.fromLSN = fromLSN
    self.leaseExpiry = leaseExpiry
  }
}

package enum SlaveState: Hashable, Sendable {
  case registered(LinkID)
  case syncing(LinkID, SyncMode, SyncProgress)
  case streaming(LinkID)
  case disconnected(since: Tick)

  package var isStreaming: Bool {
    switch self {
    case .streaming: true
    case .registered, .syncing, .disconnected: false
    }
  }

  package var link: LinkID? {
    switch self {
    case .registered(let link), .syncing(let link, _, _), .streaming(let link): link
    case .disconnected: nil
    }
  }
  package var listState: SlaveList.State {
    switch self {
    case .registered: .registered
    case .syncing: .syncing
    case .streaming: .streaming
    case .disconnected: .disconnected
    }
  }
}

package struct SyncProgress: Hashable, Sendable {
  package var bytesDone: UInt64
  package var bytesTotal: UInt64
  package var bytesPerSecond: UInt64
  /// nil while no rate is known.
  package var etaMilliseconds: UInt64?
  package init(
    bytesDone: UInt64 = 0, bytesTotal: UInt64 = 0, bytesPerSecond: UInt64 = 0, etaMilliseconds: UInt64? = nil
  ) {
    self.bytesDone = bytesDone
    self.bytesTotal = bytesTotal
    self.bytesPerSecond = bytesPerSecond
    self.etaMilliseconds = etaMilliseconds
  }
}

/// How far behind; always the three.
package struct Lag: Hashable, Sendable {
  package var records: UInt64
  /// As measured at the last `measured` event.
  package var bytes: UInt64
  /// nil until the slave has applied something.
  package var milliseconds: UInt64?
  package init(records: UInt64, bytes: UInt64, milliseconds: UInt64?) {
    self.records = records
    self.bytes = bytes
    self.milliseconds = milliseconds
  }
}

/// One slave as the master knows it.
package struct Slave: Hashable, Sendable {
  package let id: NodeID
  package var address: NodeAddress
  package var capabilities: Capabilities
  /// As it registered: it may be one of the voters.
  package var isVoter = false
  /// It held data of this data set when it registered, or gave up another one by an order.
  package var broughtData = false
  package var state: SlaveState
  /// On the present connection: up to here records (or the files that hold them) were handed to the socket.
  package var sentLSN = LSN.none
  package var sentFileBytes: UInt64 = 0
  package var ack = Ack(durableLSN: .none, appliedLSN: .none)
  /// On the present connection.
  package var proof = Proof.none
  /// It has shown something at some time, or was known before: until then nobody is told of it, and nothing waits for it.
  package var hasShown = false
  package var ackedAt: Tick?
  package var heardAt: Tick
  package var lagBytes: UInt64 = 0
  package var pin: Pin?
  package var plan: PlanReport?
  /// The last sync that reached its barrier; not kept over a restart.
  package var lastSync: SyncRecord?
  package var ratios = LinkRatios()

  /// It follows the stream, has shown that it holds what it acknowledges, and after a full sync it has put its new copy in place.
  package var countsForCommit: Bool {
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.countSyncing.isPlanted { return state.link != nil }
    #endif
    guard state.isStreaming, hasProved(.log) else { return false }
    return plan?.mode != .full || ack.appliedLSN >= (plan?.barrierLSN ?? .none)
  }

  package func hasProved(_ wanted: Proof) -> Bool {
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.believeEverybody.isPlanted { return true }
    #endif
    return proof >= wanted
  }

  package func lag(masterLast: LSN, masterClock: WallClock) -> Lag {
    let behind = masterLast.value > ack.appliedLSN.value ? masterLast.value - ack.appliedLSN.value : 0
    let milliseconds: UInt64? =
      if behind == 0 {
        0
      } else if ack.appliedClock.milliseconds == 0 {
        nil
      } else {
        masterClock.milliseconds > ack.appliedClock.milliseconds
          ? masterClock.milliseconds - ack.appliedClock.milliseconds : 0
      }
    return Lag(records: behind, bytes: behind == 0 ? 0 : lagBytes, milliseconds: milliseconds)
  }
}

package enum RegistryEvent: Sendable {
  /// MS_REGISTER_SLAVE came.
  case register(LinkID, RegisterRequest, MasterFacts)
  /// MS_SYNC_SLAVE was planned. `pinFrom`: the first LSN the slave will need as log.
  case planned(LinkID, PlanReport, pinFrom: LSN)
  case progress(LinkID, SyncProgress)
  /// The relay handed so much to the socket.
  case sent(LinkID, upTo: LSN, fileBytes: UInt64)
  /// The relay sent everything up to the barrier.
  case streaming(LinkID)
  /// What it cost up to there.
  case synced(LinkID, SyncRecord, LinkRatios)
  case acked(LinkID, Ack)
  /// It has shown so much of what it holds.
  case proved(LinkID, Proof)
  case linkClosed(LinkID)
  /// An operator removes a slave for good.
  case unregister(NodeID)
  /// Log bytes between a slave's pin and the end of the log; the shell asks the store now and then.
  case measured(NodeID, lagBytes: UInt64)
  /// What this slave needs of the log is damaged here.
  case unreadable(LinkID, String)
  /// This node follows another master now, or its master does.
  case upstreamChanged([NodeID])
  case leaseTick
  /// Forgets nodes in whose place others are; these are the voters.
  case reviewReplaced(voters: [NodeID])
  /// The master that this node follows told it of its row.
  case met(SlaveList)
}

package enum RegistryAction: Hashable, Sendable {
  /// Write `encoded(now:)` and sync it. What follows in the list may leave the node only after that.
  case persist
  case reply(LinkID, RegisterReply)
  /// Answer, although it is not registered: it holds another data set, keeps it, and is to see what is here.
  case introduce(LinkID, RegisterReply)
  /// That node holds another data set, and nothing says that this master's is the one that counts: it takes no writes from
  /// now on. Comes after the answer.
  case rivalSeen(NodeID, from: NodeID, at: NodeAddress)
  /// Answer with this error; the connection stays a client's connection.
  case refuse(LinkID, ReplicationError)
  /// A node of this data set knows of a newer term than this node: a master must step down. Comes after its `refuse`.
  /// To be believed only if that node bears it out (`HearsayRule`).
  case newerReignSeen(Reign, from: NodeID, at: NodeAddress)
  /// Send the error and close the connection.
  case disconnect(LinkID, ReplicationError)
  case broadcastSlaveList(SlaveList)
  /// The log may go from `pinnedLSN` on again; a streaming slave must be planned anew when its log is gone.
  case pinReleased(NodeID, Pin, ReplicationError)
}
