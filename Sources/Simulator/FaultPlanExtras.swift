import Core
import LogStore

// What came later. It has a random generator of its own, and only some seeds have any of it: all others mean what they
// always meant, so that a seed that found something once goes on telling of it.
extension FaultPlan {
  package enum Extra: CaseIterable, Sendable {
    /// Two databases, COMMIT LEVEL and TABLE SET in the clients' work.
    case levels
    /// The hours in which a cluster changes hands.
    case turnovers
    /// Bits of sealed files turn over.
    case flippedBits
    /// Many keys that are written seldom and deleted often: old files keep what newer ones say is gone.
    case manyKeys
    /// Two masters of one term.
    case rivals
    /// The row is laid out anew all the time, by REPLICAOF, NO ONE and FAILOVER; rings are among it.
    case relayouts
    /// A node is started with an older copy of its directory.
    case olderDirectories
    /// A chain in which nodes at every depth are promoted.
    case deepPromotions
    case clockSteps, fullDisks, edges, cleanStops, databases
    /// Who votes: voters that lie.
    case voters
    /// A node comes back with an empty directory.
    case emptied
    /// Files of a node are gone, short or spoiled at its start.
    case lostFiles
  }

  /// Found something before there were workloads of one kind each, and go on without one.
  private static let seedsWithoutExtras: Set<UInt64> = [
    127, 134, 306, 511, 730, 1086, 1154, 6815, 8418, 12_114, 63_854, 114_818, 344_046, 20_003_263,
  ]

  package static func extras(of seed: UInt64) -> Set<Extra> {
    guard !seedsWithoutExtras.contains(seed) else { return [] }
    switch seed % 32 {
    case 2: return [.clockSteps]
    case 6: return [.relayouts]
    case 4: return [seed % 64 == 4 ? .olderDirectories : .deepPromotions]
    case 10: return [.fullDisks]
    case 14: return [.databases]
    case 15: return [.rivals]
    case 18: return [.edges]
    case 22: return [.voters]
    case 26: return [.cleanStops]
    case 30: return [.emptied]
    case 31: return [.lostFiles]
    default: break
    }
    switch seed % 8 {
    case 1: return seed % 16 == 1 ? [.levels] : [.manyKeys]
    case 3: return [.turnovers]
    case 5: return [.flippedBits]
    case 0:
      var random = SplitMix64(seed: seed ^ 0x6578_7472_6173)
      return Set([Extra.levels, .turnovers, .flippedBits, .manyKeys].filter { _ in random.chance(60) })
    default: return []
    }
  }

  mutating func planExtras() {
    let extras = Self.extras(of: seed)
    guard !extras.isEmpty else { return }
    var random = SplitMix64(seed: seed ^ 0x6D6F_7265)
    if extras.contains(.levels), nodes > 1, durability == .fsync {
      (mixesLevels, usesTwoDatabases) = (true, true)
    }
    if extras.contains(.manyKeys) { planManyKeys(&random) }
    if extras.contains(.turnovers) { planTurnovers(&random) }
    if extras.contains(.flippedBits), nodes > 1 { planFlips(&random) }
    if extras.contains(.rivals) { planRivals(&random) }
    if extras.contains(.clockSteps) { planClockSteps(&random) }
    if extras.contains(.fullDisks) { planFullDisks(&random) }
    if extras.contains(.edges) { planEdges(&random) }
    if extras.contains(.cleanStops) { planCleanStops(&random) }
    if extras.contains(.olderDirectories) { planOlderDirectories(&random) }
    if extras.contains(.deepPromotions) { planDeepPromotions(&random) }
    if extras.contains(.databases) { planDatabases(&random) }
    if extras.contains(.voters) { planVoters(&random) }
    if extras.contains(.relayouts) { planRelayouts(&random) }
    if extras.contains(.emptied) { planEmptied(&random) }
    if extras.contains(.lostFiles) { planLostFiles(&random) }
    faults.removeAll { $0.at >= milliseconds }
    faults.sort { $0.at < $1.at }
  }

  private mutating func planRivals(_ random: inout SplitMix64) {
    sharesOutTerms = false
    nodes = max(nodes, 2 + random.below(3))
    shape = .star
    if durability == .fsync { level = random.chance(70) ? .async : .fullsync }
    readPercent = min(readPercent, 40)
    keys = max(keys, 5)
    milliseconds = max(milliseconds, 8000)
    faults.removeAll { _ in random.chance(70) }
    var at = 600 + random.below(600)
    while at < milliseconds - 2000 {
      // A slave believes in its master for some seconds.
      let promoteAfter = 3000 + random.below(800)
      let cutFor = promoteAfter + 2500 + random.below(1500)
      faults.append(Planned(at: at, fault: .twoOfOneTerm(promoteAfter: promoteAfter, cutFor: cutFor)))
      at += cutFor + random.below(2000)
    }
  }

  private mutating func planVoters(_ random: inout SplitMix64) {
    nodes = max(nodes, [2, 3, 3, 4][random.below(4)])
    durability = .fsync
    level = random.chance(70) ? .quorum : .fullsync
    liars = 1 + random.below(4)
    faults.removeAll { _ in random.chance(50) }
    // Few of the real ones are there while the others lie.
    for _ in 0..<2 + random.below(5) {
      let node = 1 + random.below(nodes - 1)
      faults.append(
        Planned(at: 300 + random.below(milliseconds), fault: .kill(node: node, downFor: 100 + random.below(1500))))
    }
  }

  private mutating func planRelayouts(_ random: inout SplitMix64) {
    nodes = max(nodes, 3 + random.below(3))
    // Nobody votes on an operator's orders.
    level = .async
    keys = max(keys, 5)
    milliseconds = max(milliseconds, 6000)
    faults.removeAll { _ in random.chance(60) }
    var at = 400 + random.below(600)
    while at < milliseconds {
      let node = random.below(nodes)
      let other = (node + 1 + random.below(nodes - 1)) % nodes
      switch random.below(8) {
      case 0, 1, 2: faults.append(Planned(at: at, fault: .follow(node: node, other: other)))
      case 3:
        // Two or three at the same moment.
        faults.append(Planned(at: at, fault: .follow(node: node, other: other)))
        faults.append(
          Planned(at: at, fault: .follow(node: other, other: random.chance(50) ? node : (other + 1) % nodes)))
        if random.chance(50) { faults.append(Planned(at: at, fault: .follow(node: (other + 1) % nodes, other: node))) }
      case 4: faults.append(Planned(at: at, fault: .detach(node: node)))
      case 5: faults.append(Planned(at: at, fault: .handover(to: node)))
      default: faults.append(Planned(at: at, fault: .kill(node: node, downFor: 1 + random.below(600))))
      }
      at += 50 + random.below(900)
    }
  }

  /// One directory, once: a majority of the copies stays.
  private mutating func planEmptied(_ random: inout SplitMix64) {
    namesPeers = true
    nodes = max(nodes, 3)
    shape = .star
    durability = .fsync
    level = [.quorum, .quorum, .quorum, .fullsync, .async][random.below(5)]
    milliseconds = max(milliseconds, 6000)
    faults.removeAll { _ in random.chance(60) }
    faults.append(
      Planned(
        at: 1500 + random.below(milliseconds - 3000),
        fault: .emptyDirectory(node: random.chance(50) ? 0 : random.below(nodes), downFor: 20 + random.below(1500))))
  }

  private mutating func planTurnovers(_ random: inout SplitMix64) {
    nodes = max(nodes, [3, 3, 4, 5][random.below(4)])
    durability = .fsync
    level = random.chance(75) ? .quorum : .fullsync
    // Segments fill up all the time, and a disk is often behind.
    segmentBytes = random.chance(50) ? 4096 : segmentBytes
    flushMicroseconds = random.chance(50) ? 5000...60_000 : flushMicroseconds
    expiresMuch = random.chance(50)
    keys = max(keys, 5)
    milliseconds = max(milliseconds, 6000)
    faults.removeAll { _ in random.chance(50) }
    var at = 300 + random.below(600)
    while at < milliseconds {
      switch random.below(4) {
      case 0: faults.append(Planned(at: at, fault: .powerCut(downFor: 1 + random.below(300), apart: random.below(400))))
      case 1:
        // Who has heard of the master in the last seconds elects no other, but for one who has forgotten by a restart. And
        // it takes a while to learn that somebody does not answer.
        let losesPower = random.chance(60)
        let promoteAfter = (losesPower ? 50 : 3000) + random.below(600)
        let cutFor = promoteAfter + 2000 + random.below(1500)
        faults.append(
          Planned(
            at: at,
            fault: .turnover(
              losesPower: losesPower, cutFor: cutFor, promoteAfter: promoteAfter, areRivals: random.chance(60))))
        at += random.below(cutFor)
      case 2: faults.append(Planned(at: at, fault: .powerLossOfMaster(downFor: 1 + random.below(500))))
      default: faults.append(Planned(at: at, fault: .restartAlone(downFor: 100 + random.below(900))))
      }
      at += 200 + random.below(1200)
    }
  }

  private mutating func planManyKeys(_ random: inout SplitMix64) {
    keys = 100 + random.below(300)
    deletesMuch = true
    valueBytesMax = min(valueBytesMax, 400)
    segmentBytes = 4096
    opsBufferBytes = 0
    walKeepBytes = 0
    compactionIntervalMilliseconds = 100
    readPercent = 40
    for _ in 0..<2 + random.below(4) {
      let at = milliseconds / 3 + random.below(milliseconds / 2)
      faults.append(Planned(at: at, fault: .kill(node: random.below(nodes), downFor: 20 + random.below(200))))
    }
  }

  private mutating func planFlips(_ random: inout SplitMix64) {
    flipsBits = true
    scrubMilliseconds = [200, 1000, 4000][random.below(3)]
    segmentBytes = min(segmentBytes, 16 << 10)
    // Of one node: a record that is damaged everywhere cannot come back.
    let node = random.below(nodes)
    for _ in 0..<1 + random.below(8) {
      faults.append(
        Planned(
          at: random.below(milliseconds),
          fault: .flipBit(node: node, pick: random.below(1 << 30), isIndex: random.chance(25))))
    }
  }
}

extension FaultPlan.Level {
  package var ofRecords: RecordLevel {
    switch self {
    case .async: .async
    case .fullsync: .fullsync
    case .quorum: .quorum
    }
  }
}
