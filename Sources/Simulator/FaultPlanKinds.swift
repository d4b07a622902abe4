import Core

// Workloads of one kind each: what a day with this one trouble looks like, so that what fails has one reason.
extension FaultPlan {
  /// Every node's clock is set, forth and back, by moments and by days. What lives on the master is to be seen on slaves.
  mutating func planClockSteps(_ random: inout SplitMix64) {
    nodes = max(nodes, 2 + random.below(2))
    expiresMuch = true
    stepsClocks = true
    milliseconds = max(milliseconds, 6000)
    readPercent = max(readPercent, 40)
    anyNodePercent = max(anyNodePercent, 60)
    faults.removeAll { _ in random.chance(70) }
    for _ in 0..<2 + random.below(10) {
      let size = [50, 1500, 60_000, 86_400_000][random.below(4)]
      let step = (random.chance(50) ? -1 : 1) * (1 + random.below(size))
      faults.append(
        Planned(
          at: 500 + random.below(milliseconds - 500), fault: .clockJump(node: random.below(nodes), milliseconds: step)))
    }
  }

  /// Disks are full, of one node or of all, and nodes are killed and lose power while they are.
  mutating func planFullDisks(_ random: inout SplitMix64) {
    faults.removeAll { _ in random.chance(70) }
    milliseconds = max(milliseconds, 5000)
    deletesMuch = random.chance(50)
    var at = 300 + random.below(500)
    while at < milliseconds {
      let fullFor = 300 + random.below(2500)
      let full = random.chance(30) ? Array(0..<nodes) : [random.below(nodes)]
      for node in full {
        faults.append(Planned(at: at, fault: .fullDisk(node: node, milliseconds: fullFor)))
        guard random.chance(70) else { continue }
        let (end, downFor) = (at + 20 + random.below(fullFor), 1 + random.below(400))
        let fault: Fault =
          switch random.below(3) {
          case 0: .kill(node: node, downFor: downFor)
          case 1: .powerLoss(node: node, downFor: downFor)
          default: .stopAtCall(node: node, call: 1 + random.below(60), losesPower: random.chance(60), downFor: downFor)
          }
        faults.append(Planned(at: end, fault: fault))
        if random.chance(40) { faults.append(Planned(at: end + downFor + 50, fault: .compact(node: node))) }
      }
      at += fullFor / 2 + random.below(2000)
    }
  }

  /// Nothing goes wrong, but somebody with the password sends nodes messages of nodes, with numbers from the edges: the
  /// row keeps its master, and goes on.
  mutating func planEdges(_ random: inout SplitMix64) {
    nodes = max(nodes, 2 + random.below(3))
    durability = .fsync
    level = [.async, .fullsync, .quorum][random.below(3)]
    latencyMicroseconds = 30...300
    connectionLossPerMillion = 0
    flushMicroseconds = 100...2000
    sendsEdges = true
    milliseconds = max(milliseconds, 4000)
    readPercent = min(readPercent, 40)
    faults = []
    // The row is to stand first.
    var at = 1500
    while at < milliseconds {
      faults.append(Planned(at: at, fault: .message(node: random.below(nodes), pick: random.below(1 << 30))))
      at += 20 + random.below(200)
    }
  }

  /// Nodes are stopped as an operator stops them, under load; what was acknowledged is then on the slaves that followed.
  mutating func planCleanStops(_ random: inout SplitMix64) {
    nodes = max(nodes, 2 + random.below(3))
    milliseconds = max(milliseconds, 6000)
    readPercent = min(readPercent, 40)
    faults.removeAll { _ in random.chance(80) }
    var at = 600 + random.below(600)
    while at < milliseconds {
      let downFor = 200 + random.below(1500)
      let isMasters = random.chance(70)
      faults.append(
        Planned(at: at, fault: .cleanStop(node: isMasters ? nil : random.below(nodes), downFor: downFor)))
      if isMasters, random.chance(60) {
        faults.append(Planned(at: at + 100 + random.below(downFor), fault: .promote(node: random.below(nodes))))
      }
      at += downFor + random.below(1500)
    }
  }

  /// Nodes are started with other numbers of databases than the data set has.
  mutating func planDatabases(_ random: inout SplitMix64) {
    nodes = max(nodes, 2 + random.below(3))
    usesTwoDatabases = true
    // The first one makes the data set, and clients need two.
    databases = [2 + random.below(3)] + (1..<nodes).map { _ in 1 + random.below(5) }
    milliseconds = max(milliseconds, 5000)
    for _ in 0..<1 + random.below(4) {
      let at = milliseconds / 4 + random.below(milliseconds / 2)
      faults.append(Planned(at: at, fault: .kill(node: random.below(nodes), downFor: 20 + random.below(200))))
      if random.chance(50) { faults.append(Planned(at: at + 500, fault: .handover(to: random.below(nodes)))) }
    }
  }
}
