import Core
import LogStore

// A node that is started with an older copy of its directory: a backup that was restored, a snapshot of a volume. That
// counts as the loss of what only this node held, and of nothing else: at `async` what no slave has yet, at the other levels
// nothing.
extension FaultPlan {
  mutating func planOlderDirectories(_ random: inout SplitMix64) {
    nodes = [2, 3, 3, 3, 4][random.below(5)]
    shape = .star
    durability = .fsync
    level = [.async, .fullsync, .quorum, .quorum][random.below(4)]
    restoresBackups = true
    alwaysSyncsFully = false
    readPercent = min(readPercent, 40)
    connectionLossPerMillion = 0
    milliseconds = max(milliseconds, 7000)
    // The voters are named and all slaves are there; then nothing else takes a copy away, and nobody is promoted.
    faults = []
    let node = random.chance(60) ? 0 : random.below(nodes)
    var at = 1500 + random.below(800)
    faults.append(Planned(at: at, fault: .backUp(node: node)))
    for _ in 0..<1 + random.below(2) {
      at += 500 + random.below(1500)
      faults.append(Planned(at: at, fault: .restoreBackup(node: node, downFor: 20 + random.below(700))))
    }
    for _ in 0..<random.below(4) {
      faults.append(
        Planned(at: random.below(milliseconds), fault: .compact(node: random.below(nodes))))
    }
  }

  /// Chains in their first moments, where not every log names the voters yet, cut anywhere; nodes at every depth are promoted.
  mutating func planDeepPromotions(_ random: inout SplitMix64) {
    nodes = max(nodes, 3 + random.below(3))
    shape = .chain
    durability = .fsync
    level = random.chance(75) ? .quorum : .fullsync
    milliseconds = max(milliseconds, 9000)
    faults.removeAll { _ in random.chance(70) }
    faults.removeAll { if case .promote = $0.fault { level != .quorum } else { false } }
    var at = 100 + random.below(700)
    while at < milliseconds {
      let cutFor = 2500 + random.below(3000)
      let node = random.chance(60) ? 0 : random.below(nodes)
      faults.append(Planned(at: at, fault: .isolate(node: node, fromClients: false, milliseconds: cutFor)))
      for _ in 0..<1 + random.below(3) where level == .quorum {
        faults.append(
          Planned(at: at + 50 + random.below(cutFor), fault: .promote(node: 1 + random.below(nodes - 1))))
      }
      for other in 1..<nodes where random.chance(30) {
        faults.append(
          Planned(at: at + random.below(200), fault: .powerLoss(node: other, downFor: 10 + random.below(100))))
      }
      at += cutFor + 500 + random.below(2000)
    }
    faults.removeAll { $0.at >= milliseconds }
  }
}

extension Simulation {
  func backUp(_ number: Int) {
    let node = nodes[number]
    guard node.isAlive, node.isServing else { return }
    node.kill()
    node.backup = node.disk.copy(seed: plan.seed)
    node.start()
  }

  func restoreBackup(_ number: Int, downFor milliseconds: Int) {
    let node = nodes[number]
    guard let backup = node.backup, node.isAlive, node.isServing else { return }
    // What it alone holds goes with its directory.
    guard nodes.allSatisfy({ $0.isAlive && $0.isServing }) else { return }
    node.kill()
    node.disk.restore(backup)
    for (reign, elsewhere) in onDisk.heldOnly(by: number) {
      permit(PermittedLoss(.only(reign), keptUpTo: elsewhere))
    }
    node.log("is started with an older directory")
    queue.after(UInt64(milliseconds) * 1000) { [unowned self] in nodes[number].start() }
  }
}
