import Core
import LogStore
import Node
import Replication

extension Simulation {
  /// Entries of a slave's index are gone, as if a bit of memory had turned over: no checksum sees that, the digests do. Once,
  /// when everything else is healed. True if something was broken.
  func breakIndexOfSlave() -> Bool {
    guard plan.flipsBits, !hasBrokenIndex, !nodes.contains(where: \.isDamagedForGood) else { return false }
    hasBrokenIndex = true
    guard let slave = nodes.first(where: { $0.isAlive && $0.number != masterNumber }), let store = slave.life?.store
    else { return false }
    let lost = store.withWriteLock { access in
      written.keys.prefix(3).count { key in
        Array(key.utf8).withUnsafeBytes {
          store.breakIndex(dropping: $0, database: SimulatedKey.database(key), silently: false, access)
        }
      }
    }
    nodeOfBrokenIndex = slave.number
    slave.log("loses \(lost) entries of its index")
    result.lostEntries += lost
    return lost > 0
  }

  /// A node whose index does not hold what the master's holds; nil: there is none.
  var indexDifference: String? {
    guard hasBrokenIndex, let master = nodes[masterNumber].life else { return nil }
    let expected = master.core.digest().ranges
    let other = nodes.first { node in
      guard node.isAlive, let life = node.life else { return false }
      return life.core.digest().ranges != expected
    }
    return other.map { "node \($0.number): its index differs from the master's" }
  }

  /// A record that only the master held, and cannot read any more, keeps off every slave that needs it. One that is in sync
  /// needs nothing: the operator hands over to it.
  func replaceDamagedMaster() {
    guard let master = nodes[masterNumber].life, nodes[masterNumber].isServing, master.remainingDamage != nil else {
      return
    }
    let last = master.store.positions.appended
    let slaves = nodes.filter { $0.number != masterNumber && $0.isAlive }
    func isInSync(_ node: SimulatedNode) -> Bool {
      guard let life = node.life else { return false }
      return life.core.replication.upstream.view.isInSync && life.store.positions.durable == last
    }
    guard slaves.contains(where: { !isInSync($0) }),
      let target = slaves.first(where: { isInSync($0) && $0.life?.remainingDamage == nil })
    else { return }
    handOver(to: target.number)
  }
}

extension NodeProcess {
  /// What is not as it was written in the sealed files; index files that can be are made anew. nil: nothing.
  var remainingDamage: String? {
    for piece in store.sealedPieces {
      guard let check = PieceCheck(store: store, name: piece.name) else { continue }
      while !check.step(bytes: 64 << 10) {}
      if !check.report.isGood { return "\(check.report.file) is damaged" }
    }
    return nil
  }

  /// All that is damaged are records that no other node has any more: they were dead there and compacted away, and here
  /// something is not settled yet, or older files need a deletion. It is said, and nothing wrong is shown.
  var isDamagedForGood: Bool {
    let others = site.simulation.nodes.filter { $0.number != site.number }.compactMap(\.life)
    return store.sealedPieces.allSatisfy { piece in
      guard let check = PieceCheck(store: store, name: piece.name) else { return true }
      while !check.step(bytes: 64 << 10) {}
      if check.report.isGood { return true }
      return !check.report.damaged.isEmpty
        && check.report.damaged.allSatisfy { record in
          others.allSatisfy {
            $0.store.fetchRecords(from: record.lsn, to: record.lsn, bytesMax: 1 << 20)?.records.isEmpty ?? false
          }
        }
    }
  }
}
