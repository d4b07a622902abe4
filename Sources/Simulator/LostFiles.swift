import Core
import LogStore

// Files that are gone, short or spoiled when a node is started again: a volume that came back without some of them, an
// operator who copied half of it, a disk that lies. Of one node only: what is lost everywhere cannot come back.
extension FaultPlan {
  /// What happens to one file of a node that does not run.
  package enum FileLoss: Equatable, Sendable, CaseIterable {
    case removed, emptied, headOnly, halved, flippedHead, flippedAnywhere, zeroedHead
    /// The bytes of another file of the same kind.
    case swapped
  }

  mutating func planLostFiles(_ random: inout SplitMix64) {
    losesFiles = true
    namesPeers = true
    nodes = max(nodes, [3, 3, 4, 5][random.below(4)])
    shape = .star
    durability = .fsync
    level = random.chance(70) ? .quorum : .fullsync
    segmentBytes = random.chance(70) ? 4096 : segmentBytes
    scrubMilliseconds = [200, 1000, 4000][random.below(3)]
    keys = max(keys, 5)
    milliseconds = max(milliseconds, 8000)
    faults.removeAll { _ in random.chance(70) }
    let node = random.chance(50) ? 0 : random.below(nodes)
    var at = 1500 + random.below(1000)
    while at < milliseconds - 1000 {
      faults.append(
        Planned(
          at: at,
          fault: .loseFile(
            node: node, pick: random.below(1 << 30), loss: FileLoss.allCases[random.below(FileLoss.allCases.count)],
            isClean: random.chance(40), downFor: 20 + random.below(500))))
      at += 500 + random.below(3000)
    }
  }
}

extension Simulation {
  /// Not before the voters are known to all, and not while another node is down: what is lost here must be on others.
  func loseFile(of number: Int, pick: Int, loss: FaultPlan.FileLoss, isClean: Bool, downFor milliseconds: Int) {
    let node = nodes[number]
    let isKnown = nodes.allSatisfy { node in
      guard let store = node.life?.store, node.isAlive, node.isServing else { return false }
      return plan.level != .quorum || store.votersInLog.count == nodes.count
    }
    guard isKnown, !node.isRefused else { return trace("no file is lost yet") }
    guard !isClean else { return stopCleanly(number, downFor: milliseconds) { $0.spoil(pick, loss) } }
    node.kill()
    node.spoil(pick, loss)
    queue.after(UInt64(milliseconds) * 1000) { [unowned self] in nodes[number].start() }
  }

  /// A node that has refused to start for some seconds, or found nobody who holds what it lost, gets an empty directory from
  /// its operator, and joins its row anew.
  func replaceRefused() {
    for node in nodes where node.isRefused || node.life?.seeksLostRecords == true {
      guard queue.now > (node.isRefused ? node.refusedSince : node.startedAt) + 3_000_000 else { continue }
      node.emptyDirectory()
      node.start()
    }
  }
}

extension SimulatedNode {
  /// Spoils one file of a node that does not run. Half the time one of the newest segment, which no index file vouches for.
  func spoil(_ pick: Int, _ loss: FaultPlan.FileLoss) {
    let files = disk.paths.filter { !$0.hasSuffix("/lock") }
    let segments = files.filter { $0.hasSuffix(".wal") && !$0.contains("/damaged-") }
    guard let newest = segments.last ?? files.last else { return }
    let path = pick % 2 == 0 ? newest : files[pick / 2 % files.count]
    guard var bytes = disk.contents(path) else { return }
    hasLostFiles = true
    log("finds \(path) \(loss)")
    simulation.result.lostFiles += 1
    switch loss {
    case .removed: return disk.remove(path)
    case .emptied: bytes = []
    case .headOnly: bytes = Array(bytes.prefix(40))
    case .halved: bytes = Array(bytes.prefix(bytes.count / 2))
    case .flippedHead: flip(&bytes, pick / 64 % 64)
    case .flippedAnywhere: flip(&bytes, pick / 64)
    case .zeroedHead: for i in bytes.indices.prefix(64) { bytes[i] = 0 }
    case .swapped:
      let kind = path.suffix(4)
      guard let other = files.first(where: { $0.hasSuffix(kind) && $0 != path }), let content = disk.contents(other)
      else { return disk.remove(path) }
      bytes = content
    }
    disk.setContents(path, bytes)
  }

  private func flip(_ bytes: inout [UInt8], _ at: Int) {
    guard !bytes.isEmpty else { return }
    bytes[at % bytes.count] ^= 1 << UInt8(at % 8)
  }
}
