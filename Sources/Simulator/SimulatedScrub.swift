import Core
import LogStore
import Node
import Replication

/// What the scrub thread does in a server: checks each sealed file once in a while, and at once where somebody met damage;
/// repairs what is damaged with copies of other nodes.
final class SimulatedScrub {
  private unowned let node: NodeProcess
  private var registry = DamageRegistry()
  private var plan = ScrubPlan(intervalMilliseconds: 0)
  private weak var watched: LogStore?
  /// Copies are on their way.
  private var isRepairing = false
  private var retryAt: UInt64 = 0

  private static let roundMicroseconds: UInt64 = 50_000
  private static let retryMicroseconds: UInt64 = 500_000
  private static let answerMicroseconds: UInt64 = 2_000_000

  init(_ node: NodeProcess) { self.node = node }

  func start() {
    node.process.at(node.queue.now + Self.roundMicroseconds) { [unowned node] in
      node.background.run { node.scrub.round() }
      node.scrub.start()
    }
  }

  private func round() {
    let store = node.store
    if watched !== store {
      watched = store
      registry = DamageRegistry()
      isRepairing = false
    }
    let pieces = store.sealedPieces
    registry.keep(Set(pieces.map(\.name)))
    let known = Set(registry.items.map(\.name))
    let met = store.suspectPieces.filter { !known.contains($0) }
    for name in met { check(name, store) }
    let simulation = node.site.simulation
    plan.intervalMilliseconds = simulation.isHealing ? 200 : UInt64(simulation.plan.scrubMilliseconds)
    if let due = plan.next(pieces, now: node.monotonic) {
      check(due, store)
      plan.checked(due, now: node.monotonic)
    }
    guard !registry.items.isEmpty, !isRepairing, !met.isEmpty || node.queue.now >= retryAt else { return }
    retryAt = node.queue.now + Self.retryMicroseconds
    repair(registry.items[...], store)
  }

  private func check(_ name: LogFileName, _ store: LogStore) {
    guard let check = PieceCheck(store: store, name: name) else { return }
    while !check.step(bytes: 64 << 10) {}
    let report = check.report
    if report.isIndexRebuilt { node.site.log("made the index of \(report.file) anew") }
    if report.isGood { store.clearSuspicion(of: name) }
    if let found = registry.note(report, now: node.wall) { node.site.log("damage: \(found.line)") }
  }

  // MARK: Repairing

  private func repair(_ items: ArraySlice<DamageRegistry.Item>, _ store: LogStore) {
    guard let item = items.first, node.store === store else {
      isRepairing = false
      return
    }
    isRepairing = true
    let own = store.recordsInReplacedFiles(item.ranges)
    fetch(item, from: node.core.nodesWithCopies[...], own) { [self] copies in
      install(item, store, copies)
      repair(items.dropFirst(), store)
    }
  }

  private func install(_ item: DamageRegistry.Item, _ store: LogStore, _ copies: [LSN: [UInt8]]) {
    guard node.store === store, let job = RepairJob(store: store, name: item.name) else { return }
    do {
      try job.build(
        copies: copies, bounds: store.compactionBounds(neededFrom: node.core.neededFrom))
      guard try node.core.install(job, in: store) else { return }
      registry.repaired(item.name, records: item.records.count)
      store.clearSuspicion(of: item.name)
      node.site.log("repaired \(item.file), \(item.records.count) records")
      node.site.simulation.repaired()
    } catch {
      registry.set("\(error)", of: item.name)
      node.site.log("cannot repair \(item.file): \(error)")
    }
  }

  /// What this node has not, it asks the others for, one after the other.
  private func fetch(
    _ item: DamageRegistry.Item, from peers: ArraySlice<NodeAddress>, _ copies: [LSN: [UInt8]],
    then done: @escaping ([LSN: [UInt8]]) -> Void
  ) {
    let missing = item.ranges.filter { range in
      item.records.contains { range.contains($0.lsn) && copies[$0.lsn] == nil }
    }
    guard let peer = peers.first, !missing.isEmpty else { return done(copies) }
    ask(SimulatedNode.number(of: peer), missing) { [self] found in
      fetch(item, from: peers.dropFirst(), copies.merging(found) { first, _ in first }, then: done)
    }
  }

  /// MS_FETCH_RECORDS, without its bytes on the wire.
  private func ask(_ number: Int, _ ranges: [ClosedRange<LSN>], then done: @escaping ([LSN: [UInt8]]) -> Void) {
    let (simulation, own) = (node.site.simulation, node.site.number)
    let (queue, network) = (node.queue, node.site.network)
    let other = simulation.nodes[number]
    let answer = Once(done)
    node.process.at(queue.now + Self.answerMicroseconds) { [unowned node] in
      node.background.run { answer.take([:]) }
    }
    queue.after(network.latency()) { [weak node] in
      guard let node, let theirs = other.life, other.isAlive, !network.isCut(from: own, to: number),
        theirs.core.directory.lineage == node.core.directory.lineage
      else { return }
      theirs.background.run {
        var found: [LSN: [UInt8]] = [:]
        for range in ranges {
          let records = theirs.store.fetchRecords(from: range.lowerBound, to: range.upperBound, bytesMax: 1 << 20)
          for bytes in records?.records ?? [] where bytes.count >= 32 {
            let lsn = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[16 + $1]) << (8 * UInt64($1)) }
            found[LSN(lsn)] = bytes
          }
        }
        queue.after(network.latency()) { [weak node] in
          guard let node, !network.isCut(from: number, to: own) else { return }
          node.background.run { answer.take(found) }
        }
      }
    }
  }

  /// An answer or the time that it may take, whichever comes first.
  private final class Once {
    private var done: (([LSN: [UInt8]]) -> Void)?
    init(_ done: @escaping ([LSN: [UInt8]]) -> Void) { self.done = done }
    func take(_ records: [LSN: [UInt8]]) {
      let done = done
      self.done = nil
      done?(records)
    }
  }
}

extension Simulation {
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
