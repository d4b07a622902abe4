/// Everything that one simulated run consists of, made from its seed alone: who takes part, how they are set up, what
/// clients do, and what goes wrong when.
package struct FaultPlan: Equatable, Sendable {
  package enum Durability: Equatable, Sendable { case fsync, interval, none }
  package enum Level: Equatable, Sendable {
    case async
    /// And one slave has it on disk.
    case fullsync
    case quorum
  }
  package enum Shape: Equatable, Sendable {
    /// Every slave follows the master.
    case star
    /// Each follows the one before it.
    case chain
  }
  /// One thing that goes wrong. Nodes are numbered from 0; times are milliseconds.
  package enum Fault: Equatable, Sendable {
    /// The process ends; what was written stays. It is started again after so long.
    case kill(node: Int, downFor: Int)
    /// The machine loses power; what was not flushed is lost in part.
    case powerLoss(node: Int, downFor: Int)
    /// The same two in the middle of the n-th call to the disk from now.
    case stopAtCall(node: Int, call: Int, losesPower: Bool, downFor: Int)
    case pause(node: Int, milliseconds: Int)
    /// The wall clock is set, forth or back.
    case clockJump(node: Int, milliseconds: Int)
    case cut(from: Int, to: Int, bothWays: Bool, milliseconds: Int)
    /// Cut off from all other nodes; clients still reach it, or not.
    case isolate(node: Int, fromClients: Bool, milliseconds: Int)
    case dropConnections(node: Int)
    /// A call of the disk fails with an input/output error. The node is started again after so long.
    case diskError(node: Int, call: DiskCall, restartAfter: Int)
    case slowDisk(node: Int, flushMicroseconds: Int, milliseconds: Int)
    case fullDisk(node: Int, milliseconds: Int)
    /// Everything is compacted that can be.
    case compact(node: Int)
    /// A new generation.
    case save(node: Int)
    /// The operator makes a slave the master, by force or not, whatever the old one does.
    case promote(node: Int)
    /// The operator has the master hand over to a slave.
    case handover(to: Int)
    /// All machines lose power at once; node n is started again `apart` * n later than the first.
    case powerCut(downFor: Int, apart: Int)
    case powerLossOfMaster(downFor: Int)
    /// The master is cut off from everyone, the others perhaps lose power, and one or all of them are promoted.
    case turnover(losesPower: Bool, cutFor: Int, promoteAfter: Int, areRivals: Bool)
    /// The master loses power and comes back while it reaches nobody.
    case restartAlone(downFor: Int)
    /// The master begins a new reign alone while another node is promoted, each without hearing of the other.
    case twoOfOneTerm(promoteAfter: Int, cutFor: Int)
    /// The operator orders a node to follow another one, whatever that one follows: chains, trees, rings.
    case follow(node: Int, other: Int)
    /// REPLICAOF NO ONE.
    case detach(node: Int)
    /// A bit of a sealed file turns over, on disk and in what is mapped of it. `pick` chooses file and place.
    case flipBit(node: Int, pick: Int, isIndex: Bool)
    /// SIGTERM, of the master if no node is named; started again so long after its end.
    case cleanStop(node: Int?, downFor: Int)
    /// A copy of the node's directory is made, as the disk holds it: the process ends for a moment.
    case backUp(node: Int)
    /// The node is stopped and started with that copy in place of its directory.
    case restoreBackup(node: Int, downFor: Int)
    /// A message of nodes, from somebody who is none. `pick` makes it.
    case message(node: Int, pick: Int)
    /// The process ends and its directory is emptied; it is started again with the same flags. Where the row was without a
    /// master for it, the operator promotes another node.
    case emptyDirectory(node: Int, downFor: Int)
    /// A file of the node's directory is gone or spoiled when it is started again, after a kill or a clean stop.
    case loseFile(node: Int, pick: Int, loss: FileLoss, isClean: Bool, downFor: Int)

    /// Its name, without what it is about.
    package var kind: String { String("\(self)".prefix { $0 != "(" }) }
  }
  package enum DiskCall: Equatable, Sendable, CaseIterable { case write, flush, rename, flushDirectory, open, unlink }
  package struct Planned: Equatable, Sendable {
    /// Milliseconds after the beginning.
    package let at: Int
    package let fault: Fault
  }

  package let seed: UInt64
  /// One node is started with an older copy of its directory. Nothing else loses a copy of anything then.
  package var restoresBackups = false
  package var nodes = 3
  package var shape = Shape.star
  package var durability = Durability.fsync
  package var level = Level.async
  package var syncTimeoutMilliseconds = 1000
  package var segmentBytes = 16 << 10
  package var opsBufferBytes = 32 << 10
  package var walKeepBytes = 0
  package var compresses = false
  package var syncRateBytes = 0
  /// `--sync-mode full`: with so little data the planner would seldom choose it.
  package var alwaysSyncsFully = false
  package var clients = 3
  package var keys = 8
  package var valueBytesMax = 200
  /// Of a hundred commands, how many read; how many of these ask any node.
  package var readPercent = 40
  package var anyNodePercent = 30
  package var pipelineMax = 1
  package var latencyMicroseconds = 50...500
  package var flushMicroseconds = 100...2000
  package var connectionLossPerMillion = 0
  package var compactionIntervalMilliseconds = 500
  /// The clients use two databases and set commit levels.
  package var mixesLevels = false
  /// Many writes have a time to live.
  package var expiresMuch = false
  /// Many commands delete a key.
  package var deletesMuch = false
  /// Bits turn over on disk, and nodes look for it: each sealed file once in this time.
  package var flipsBits = false
  /// Files are lost and spoiled while a node is down.
  package var losesFiles = false
  /// What a node holds may be damaged where no crash did it.
  package var damagesFiles: Bool { flipsBits || losesFiles }
  package var scrubMilliseconds = 0
  /// Clients use two databases.
  package var usesTwoDatabases = false
  /// What each node is started with; empty: all with what clients need.
  package var databases: [Int] = []
  /// Clocks are set so often that what slaves show of keys with a time to live is looked at.
  package var stepsClocks = false
  /// Messages with odd numbers are all that goes wrong.
  package var sendsEdges = false
  /// Clients that register as voters and acknowledge what they never wrote down.
  package var liars = 0
  /// Without it two nodes that do not hear each other often begin a reign in the same term.
  package var sharesOutTerms = true
  /// `--peers`: one start command for all nodes.
  package var namesPeers = false
  /// How long clients work and things go wrong.
  package var milliseconds = 6000
  package var faults: [Planned] = []

  package init(seed: UInt64) {
    self.seed = seed
    var random = SplitMix64(seed: seed ^ 0x7061_6365_6C69_6E65)
    nodes = [1, 2, 2, 3, 3, 3, 3, 4, 5][random.below(9)]
    shape = nodes > 2 && random.chance(20) ? .chain : .star
    durability = [.fsync, .fsync, .fsync, .fsync, .fsync, .fsync, .fsync, .interval, .none][random.below(9)]
    segmentBytes = [4096, 8 << 10, 16 << 10, 64 << 10][random.below(4)]
    opsBufferBytes = [0, 16 << 10, 256 << 10][random.below(3)]
    walKeepBytes = [0, 0, 32 << 10, 1 << 20][random.below(4)]
    compresses = random.chance(25)
    syncRateBytes = random.chance(15) ? 200_000 : 0
    clients = 1 + random.below(5)
    keys = [2, 5, 10, 40][random.below(4)]
    valueBytesMax = [20, 100, 400, 1500][random.below(4)]
    readPercent = [10, 40, 70][random.below(3)]
    anyNodePercent = [0, 30, 60][random.below(3)]
    pipelineMax = [1, 1, 4, 16][random.below(4)]
    let slow = random.chance(20)
    latencyMicroseconds = slow ? 1000...20_000 : 30...300
    flushMicroseconds = [50...200, 500...3000, 2000...15_000][random.below(3)]
    connectionLossPerMillion = random.chance(25) ? 300 : 0
    compactionIntervalMilliseconds = [100, 500, 2500][random.below(3)]
    milliseconds = 2000 + random.below(5000)
    if nodes > 1, durability == .fsync { level = [.async, .async, .fullsync, .quorum, .quorum][random.below(5)] }
    syncTimeoutMilliseconds = [200, 1000, 5000][random.below(3)]
    plan(&random)
    alwaysSyncsFully = random.chance(15)
    planExtras()
  }

  private mutating func plan(_ random: inout SplitMix64) {
    let count = random.chance(20) ? random.below(40) : random.below(12)
    // Some runs meet one kind of trouble only, others everything.
    let kinds: [Int] = random.chance(30) ? [random.below(15)] : Array(0..<15)
    for _ in 0..<count {
      let at = random.below(milliseconds)
      guard let fault = fault(kinds[random.below(kinds.count)], &random) else { continue }
      faults.append(Planned(at: at, fault: fault))
    }
    faults.sort { $0.at < $1.at }
  }

  private func fault(_ kind: Int, _ random: inout SplitMix64) -> Fault? {
    let node = random.below(nodes)
    let other = nodes > 1 ? (node + 1 + random.below(nodes - 1)) % nodes : node
    let short = 1 + random.below(50)
    let long = 50 + random.below(2500)
    let duration = random.chance(30) ? short : long
    switch kind {
    case 0: return .kill(node: node, downFor: duration)
    case 1: return .powerLoss(node: node, downFor: duration)
    case 2: return .stopAtCall(node: node, call: 1 + random.below(60), losesPower: random.chance(60), downFor: duration)
    case 3: return .pause(node: node, milliseconds: duration)
    case 4: return .clockJump(node: node, milliseconds: (random.chance(50) ? -1 : 1) * random.below(20_000))
    case 5:
      return nodes > 1 ? .cut(from: node, to: other, bothWays: random.chance(50), milliseconds: duration) : nil
    case 6: return .isolate(node: node, fromClients: random.chance(50), milliseconds: duration)
    case 7: return .dropConnections(node: node)
    case 8:
      let calls = DiskCall.allCases
      return .diskError(node: node, call: calls[random.below(calls.count)], restartAfter: long)
    case 9: return .slowDisk(node: node, flushMicroseconds: 1000 + random.below(200_000), milliseconds: duration)
    case 10: return .fullDisk(node: node, milliseconds: duration)
    case 11: return .compact(node: node)
    case 12: return .save(node: node)
    case 13: return nodes > 1 ? .handover(to: node) : nil
    default: return nodes > 1 ? .promote(node: node) : nil
    }
  }
}
