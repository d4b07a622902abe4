import Testing

@testable import Simulator

@Suite struct SimulationTests {
  /// Whole clusters with everything going wrong. `paceline simulate` runs more of them.
  @Test(arguments: 0..<4) func clustersKeepTheirPromises(part: Int) {
    for seed in stride(from: part + 1, through: 60, by: 4) {
      let result = Simulation(seed: UInt64(seed)).run()
      #expect(result.violations.isEmpty, "paceline simulate --seed \(seed) --trace")
    }
  }

  /// What was found once.
  @Test(arguments: [
    (UInt64(15), "a start showed what a key had before a record that compaction had dropped"),
    (127, "the slaves of a master that had made way denied it their votes, because they heard it"),
    (134, "the same as 15, on a slave"),
    (193, "the checkers took a master that had not begun its reign yet for the end"),
    (306, "a delta ended with what was committed, and the commit waited for the slave that built it"),
    (355, "the checkers compared LSNs only, of a new master and of slaves that had not heard of it"),
    (423, "a full sync whose files ended before the log began was planned again and again"),
    (511, "a candidate failed after it had its votes, and nobody was master any more"),
    (572, "the checkers held what was lost against a history that the new master had never followed"),
    (711, "a master that had handed over and was started again, cut off, took its successor's term"),
    (730, "a promotion went on in a term that was over when its votes were in"),
    (928, "a promotion that failed after its first record left a role behind"),
    (1086, "a master refused its slave because it had followed that one before"),
    (1154, "a start took what a failed sync had left in memory for written, and lost it with the power"),
    (2085, "only the master had held what was damaged, and a slave that needed it waited for ever"),
    (2172, "a master whose first record could not be written was followed, and followed its follower after a restart"),
    (2343, "the file of a segment that could not be made came back with a power cut and stopped the start"),
    (2571, "a master fell in its first moment, before its role was written down; nobody held as much as it"),
    (2645, "the checkers took a command that a transaction refused, because of damage, for one that had written"),
    (2784, "a promotion ended when a newer master had begun: the checkers knew of one master only"),
    (3040, "a master lost its tail twice; its voters had voted for it between and denied it their votes"),
    (5029, "the same as 2645, where all of the transaction was refused"),
    (5537, "the checkers took a late word of slaves to a master that was replaced for none"),
    (6155, "where a quorum commits, a master that a candidate followed began a newer term without votes"),
    (
      6331,
      "replies that waited when a node went over to another log were released by that one's LSNs, in the simulator"
    ),
    (6353, "the same as 5537, with votes on their way for long"),
    (6488, "a full sync sealed what was not good yet, and a start of the slave showed it"),
    (6509, "the checkers took the first record of a reign that failed as it began for something to see"),
    (6580, "the checkers missed what a master called good as it stepped down"),
    (6815, "the same as 6509, after a restart"),
    (6876, "a slave knew of a newer term than its master, and a node between them did not pass it on"),
    (6881, "a former master and its successor were started at once and took the same term"),
    (8418, "the same as 6509, on a node that voted for another one later"),
    (8771, "a start removed the store that the generation before its own named, and lost its own with the power"),
    (9147, "the same as 6331, for a write"),
    (12114, "the same as 6876, where the node between knew the term itself"),
    (12149, "the same as 21344, in a file of which the slave needed only what stood behind the damage"),
    (
      21344,
      "a damaged record, dead on all other nodes, stood in the way of a slave whose pin kept it from being left out"
    ),
    (
      50152,
      "a repair raised the rewind floor to what waited for other nodes, and a start took that for good"
    ),
    (50752, "an empty slave was sent ten times the bytes of a delta to save a few milliseconds"),
    (
      50872,
      "a master that started cut off never asked the silent nodes again, and stayed beside the one of a newer term"
    ),
    (51997, "a former master looking for the new one followed its own slave, and each waited for the other"),
    (52125, "the same as 50152, where the records were on all disks"),
    (61080, "the operator of the simulation left the voters below another slave, where they do not count"),
    (
      62139,
      "a master with a full disk was started again and again, up to the term that another one had been promoted to"
    ),
    (63854, "the planner counted log that may not leave its node yet, but for a delta"),
    (64760, "the same as 50152, after a kill"),
    (
      65353,
      "a slave's compaction called a file clean up to records that were not applied yet, and a deleted key came back"
    ),
    (100588, "a stream was planned on a log that was replaced before it began, and read that one for ever"),
    (101244, "the same as 63854"),
    (101541, "the same as 63854, in a chain"),
    (101701, "a damaged version byte of an index file was taken for a newer version's"),
    (104083, "a slave forgot that what it got was cleaned up to the barrier, where no file came before the log"),
    (
      112801,
      "a master that was handing over called itself the master of its successor's term, and that one followed it"
    ),
    (114818, "a master that had handed over and was started again, cut off, began a term above its successor's"),
    (
      200523,
      "a slave that had not heard of the voters yet was promoted without the master's answer, where a quorum commits"
    ),
    (
      307137, "after a handover that failed, the target held more than the master, which asked it for its vote for ever"
    ),
    (
      308417,
      "a master that had handed over, and was started again before it followed, began a reign beside its successor's"
    ),
    (320909, "nobody in the simulation allowed a slave to follow a master that had lost its first writes"),
    (330120, "where a quorum commits, a node that knew of no voters yet was promoted without the old master"),
    (344046, "no room for a new segment, of which nothing had been written, was never tried again"),
    (504384, "a quorum of one voter was taken for stricter than fullsync, and the write was on one disk"),
    (714053, "a compaction that had copied a record before it was damaged put it beside the newer one, or back"),
    (800976, "the same as 714053"),
    (
      504791,
      "a slave below a slave took that one's word for its master's, which nobody heard any more, and gave no vote"
    ),
    (9_208_867, "deep in a chain, a slave's answer was taken for the old master's, and an acknowledged write was lost"),
    (9_309_616, "the same as 9208867"),
    (9_304_787, "two masters took one term: one's log named no voters yet, and it did not ask the other"),
    (903887, "the checkers took for lost what a second master had called good, which gave way to one of the same term"),
    (
      9_201_057,
      "the checkers did not know that an async record on its master's disk is good where that one fell before it said so"
    ),
    (
      9_210_664,
      "an operation did not find a record that was damaged after a compaction had copied it, which put the copy back"
    ),
    (9_302_371, "a node two steps below the master was promoted without that one's answer, where a quorum commits"),
    (
      20_003_019,
      "a segment without records went at a start, and the next one took it for lost, as a generation still named it"
    ),
    (
      20_003_263,
      "a master that knew less of what is good than its slave asked that one for log that it had compacted, for ever"
    ),
    (20_100_372, "a failed write left the log durable beyond what was called written"),
    (
      20_101_665,
      "a former master that held less waited for ever for the one that held more, which had cut its log for it"
    ),
    (20_102_406, "orders that made a ring cost the master's newest records before they were undone"),
    (20_104_774, "the order to cut the log was carried out again at the next start, on records that had come since"),
    (21_000_030, "a node that was restarted counted the dead master among the slaves that must answer a PROMOTE"),
    (22_000_040, "digest repair and compaction undid each other for ever"),
    (22_001_214, "the simulation's operator promoted nobody after its master came back empty"),
    (23_000_184, "a node whose log names no voters asked one that got no votes to be master, for ever"),
    (23_001_826, "a handover whose target was killed and came back held expiry up"),
    (23_004_742, "a slave was killed while it followed itself, and waited for ever"),
    (23_005_272, "votes were asked for in term 3 and 4 where others knew term 61"),
    (24_005_734, "the checkers did not know that a record of which no client was told has its row's level"),
    (24_008_030, "the simulation's operator used no force where a slave's directory was gone for good"),
    (24_008_390, "a node that was detached long ago did not ask the master that another node named"),
    (24_008_958, "a machine with an emptied directory was taken for the node that it had been"),
    (24_100_294, "an order that led nowhere was undone to following oneself"),
    (25_001_638, "the simulation's operator left a node alone that he had ordered to take other data"),
  ])
  func whatWasFoundStaysMended(seed: UInt64, what: String) {
    let result = Simulation(seed: seed).run()
    #expect(result.violations.isEmpty, "\(what): paceline simulate --seed \(seed) --trace")
  }

  @Test(arguments: [UInt64(2), 14, 31]) func theSameSeedIsTheSameRunToTheByte(seed: UInt64) {
    func run() -> ([String], UInt64) {
      var lines: [String] = []
      let result = Simulation(seed: seed) { lines.append($0) }.run()
      return (lines, result.fingerprint)
    }
    let (first, second) = (run(), run())
    let isSame = first.0 == second.0
    #expect(isSame)
    #expect(first.1 == second.1)
    #expect(first.0.count > 100)
    // The trace only looks.
    #expect(Simulation(seed: seed).run().fingerprint == first.1)
  }

  /// Two masters of one term, each with writes of its own: the cluster comes together, all nodes hold the same, and what
  /// the one that gave way had written is in a file.
  @Test func twoMastersOfOneTermAreToldApart() {
    var (sharedTerms, lostFiles) = (0, 0)
    for seed in stride(from: UInt64(15), through: 15 + 11 * 32, by: 32) {
      #expect(FaultPlan.extras(of: seed) == [.rivals])
      let simulation = Simulation(seed: seed)
      let result = simulation.run()
      #expect(result.violations.isEmpty, "paceline simulate --seed \(seed) --trace")
      guard result.sharedTerms > 0 else { continue }
      sharedTerms += result.sharedTerms
      lostFiles += simulation.nodes.reduce(0) { $0 + $1.disk.paths.count { $0.contains("/lost-") } }
    }
    #expect(sharedTerms >= 4)
    #expect(lostFiles >= 4)
  }

  /// Whatever happens to the files of one node: nothing acknowledged is lost, nothing wrong is shown, and the row comes together.
  @Test func lostAndSpoiledFilesCostNoOtherCopy() {
    var lost = 0
    for seed in stride(from: UInt64(31), through: 31 + 24 * 32, by: 32) where FaultPlan.extras(of: seed) == [.lostFiles]
    {
      let result = Simulation(seed: seed).run()
      #expect(result.violations.isEmpty, "paceline simulate --seed \(seed) --trace")
      lost += result.lostFiles
    }
    #expect(lost >= 30)
  }

  /// What only that node held is lost with its directory, and nothing else.
  @Test func anOlderDirectoryCostsNoOtherCopy() {
    var restored = 0
    for seed in stride(from: UInt64(4), through: 4 + 11 * 64, by: 64) {
      #expect(FaultPlan.extras(of: seed) == [.olderDirectories])
      let result = Simulation(seed: seed).run()
      #expect(result.violations.isEmpty, "paceline simulate --seed \(seed) --trace")
      restored += result.faults["restoreBackup"] ?? 0
    }
    #expect(restored >= 12)
  }

  @Test func deepInAChainNobodyIsPromotedWithoutWhatIsAcknowledged() {
    for seed in stride(from: UInt64(36), through: 36 + 9 * 64, by: 64) {
      #expect(FaultPlan.extras(of: seed) == [.deepPromotions])
      let result = Simulation(seed: seed).run()
      #expect(result.violations.isEmpty, "paceline simulate --seed \(seed) --trace")
    }
  }

  /// The seeds above are worth something only if things happen in them.
  @Test func muchHappensInAFewSeeds() {
    var total = SimulationResult(seed: 0)
    for seed in UInt64(1)...30 {
      let result = Simulation(seed: seed).run()
      total.acknowledged += result.acknowledged
      total.starts += result.starts
      total.fullSyncs += result.fullSyncs
      total.deltaSyncs += result.deltaSyncs
      total.partialSyncs += result.partialSyncs
      total.undecided += result.undecided
    }
    #expect(total.acknowledged > 5000)
    #expect(total.starts > 100)
    #expect(total.fullSyncs > 2)
    #expect(total.deltaSyncs > 0)
    #expect(total.partialSyncs > 50)
    #expect(total.undecided == 0)
  }
}
