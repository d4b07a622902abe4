// Raw memory: looks a key up where its bytes lie.
import Core
import LogStore
import Node

extension Simulation {
  /// Makes one thing of the plan go wrong.
  func apply(_ fault: FaultPlan.Fault) {
    trace("fault: \(fault)")
    result.faults[fault.kind, default: 0] += 1
    switch fault {
    case .kill(let node, let milliseconds):
      nodes[node].kill()
      after(milliseconds) { $0.nodes[node].start() }
    case .powerLoss(let node, let milliseconds):
      nodes[node].losePower()
      after(milliseconds) { $0.nodes[node].start() }
    case .stopAtCall(let node, let call, let losesPower, let milliseconds):
      nodes[node].stop(atCall: call, losesPower: losesPower, downFor: milliseconds)
    case .pause(let node, let milliseconds):
      nodes[node].pause()
      after(milliseconds) { $0.nodes[node].resume() }
    case .clockJump(let node, let milliseconds): stepClock(of: node, by: Int64(milliseconds))
    case .cut(let from, let to, let bothWays, let milliseconds):
      cut([(from, to)] + (bothWays ? [(to, from)] : []), milliseconds)
    case .isolate(let node, let fromClients, let milliseconds):
      isolate(node, fromClients: fromClients, milliseconds)
    case .dropConnections(let node): network.dropConnections(of: node)
    case .diskError(let node, let call, let milliseconds):
      nodes[node].failCall(call)
      after(milliseconds) { simulation in
        simulation.nodes[node].diskIsGood()
        simulation.nodes[node].kill()
        simulation.nodes[node].start()
      }
    case .slowDisk(let node, let microseconds, let milliseconds):
      nodes[node].setFlushTime(microseconds...microseconds * 2)
      after(milliseconds) { $0.nodes[node].setFlushTime($0.plan.flushMicroseconds) }
    case .fullDisk(let node, let milliseconds):
      nodes[node].fillDisk()
      after(milliseconds) { $0.nodes[node].emptyDisk() }
    case .compact(let node): nodes[node].life?.compactAll()
    case .save(let node):
      guard let life = nodes[node].life, nodes[node].isAlive else { return }
      life.admin.run { try? life.core.saveGeneration() }
    case .promote(let node): promote(node)
    case .handover(let node): handOver(to: node)
    case .powerCut(let milliseconds, let apart):
      for node in nodes {
        node.losePower()
        after(milliseconds + apart * node.number) { $0.nodes[node.number].start() }
      }
    case .powerLossOfMaster(let milliseconds):
      let master = masterNumber
      nodes[master].losePower()
      after(milliseconds) { $0.nodes[master].start() }
    case .turnover(let losesPower, let cutFor, let promoteAfter, let areRivals):
      turnOver(losesPower: losesPower, cutFor: cutFor, promoteAfter: promoteAfter, areRivals: areRivals)
    case .restartAlone(let milliseconds):
      let master = masterNumber
      nodes[master].losePower()
      isolate(master, fromClients: false, milliseconds + 1500)
      after(milliseconds) { $0.nodes[master].start() }
    case .twoOfOneTerm(let promoteAfter, let cutFor): makeRivals(promoteAfter: promoteAfter, cutFor: cutFor)
    case .follow(let node, let other):
      guard let life = nodes[node].life, nodes[node].isAlive, nodes[node].isServing else { return }
      life.core.replicaOf(SimulatedNode.address(other)) {}
    case .detach(let node):
      guard let life = nodes[node].life, nodes[node].isAlive, nodes[node].isServing else { return }
      life.admin.run { life.core.becomeMaster { _ in } }
    case .flipBit(let node, let pick, let isIndex): flipBit(node, pick: pick, isIndex: isIndex)
    case .backUp(let node): backUp(node)
    case .restoreBackup(let node, let milliseconds): restoreBackup(node, downFor: milliseconds)
    case .cleanStop(let node, let milliseconds): stopCleanly(node ?? masterNumber, downFor: milliseconds)
    case .message(let node, let pick): Stranger(simulation: self, pick: pick).call(node)
    case .emptyDirectory(let node, let milliseconds): emptyDirectory(of: node, downFor: milliseconds)
    case .loseFile(let node, let pick, let loss, let isClean, let milliseconds):
      loseFile(of: node, pick: pick, loss: loss, isClean: isClean, downFor: milliseconds)
    }
  }

  private func turnOver(losesPower: Bool, cutFor: Int, promoteAfter: Int, areRivals: Bool) {
    let master = masterNumber
    isolate(master, fromClients: false, cutFor)
    network.dropConnections(of: master)
    let others = nodes.filter { $0.number != master }
    if losesPower {
      for node in others {
        node.losePower()
        after(20) { $0.nodes[node.number].start() }
      }
    }
    after(promoteAfter) { simulation in
      // A good operator takes those that hold most of the log.
      let last = others.map { $0.life?.store.positions.durable ?? .none }
      let order = others.indices.sorted { (last[$1], $0) < (last[$0], $1) }
      for i in order.prefix(areRivals ? 2 : 1) { simulation.promote(others[i].number, knowsRowOfOld: true) }
    }
  }

  /// The master is started again where it reaches no other node, and meanwhile another one is promoted. Clients reach both.
  private func makeRivals(promoteAfter: Int, cutFor: Int) {
    let master = masterNumber
    isolate(master, fromClients: false, cutFor)
    network.dropConnections(of: master)
    nodes[master].kill()
    after(20) { $0.nodes[master].start() }
    after(promoteAfter) { simulation in
      let others = simulation.nodes.filter { $0.number != master }
      let best = others.max { a, b in
        (a.life?.store.positions.durable ?? .none, b.number) < (b.life?.store.positions.durable ?? .none, a.number)
      }
      if let best { simulation.promote(best.number, knowsThatItHoldsMost: true) }
    }
  }

  private func isolate(_ node: Int, fromClients: Bool, _ milliseconds: Int) {
    var others = nodes.map(\.number).filter { $0 != node }
    if fromClients { others += (0..<plan.clients).map { 1000 + $0 } }
    cut(others.flatMap { [(node, $0), ($0, node)] }, milliseconds)
  }

  private func after(_ milliseconds: Int, _ work: @escaping (Simulation) -> Void) {
    queue.after(UInt64(milliseconds) * 1000) { [unowned self] in work(self) }
  }

  private func cut(_ directions: [(Int, Int)], _ milliseconds: Int) {
    for (from, to) in directions { network.cut(from: from, to: to) }
    after(milliseconds) { simulation in
      for (from, to) in directions { simulation.network.heal(from: from, to: to) }
    }
  }
}

extension Simulation {
  /// Only what another node has on disk as well, or nobody could bring it back; of one piece either the records or the
  /// index, because a start needs one of them; and no header and no catalog, without which there is no start.
  private func flipBit(_ number: Int, pick: Int, isIndex: Bool) {
    let node = nodes[number]
    guard let directory = node.directory else { return }
    let generation = directory.current
    let store = directory.storePath(generation.storeNumber)
    let pieces = generation.segments.filter { piece in
      guard let reign = generation.terms.reign(of: piece.lastLSN) else { return false }
      let isElsewhere = nodes.contains { other in
        guard other.number != number, let life = other.life else { return false }
        return life.store.positions.durable >= piece.lastLSN && life.store.terms.reign(of: piece.lastLSN) == reign
      }
      let hasCatalog = node.catalogLSNs.contains { piece.firstLSN <= $0 && $0 <= piece.lastLSN }
      return isElsewhere && !hasCatalog && !node.spoiled.contains("\(store)/\(piece.name.index)")
    }
    guard !pieces.isEmpty else { return trace("no file to spoil") }
    let name = pieces[pick % pieces.count].name
    let path = "\(store)/\(isIndex ? name.index : name.records)"
    guard let bytes = node.disk.contents(path)?.count, bytes > 0 else { return }
    node.spoiled.insert("\(store)/\(name.index)")
    let bit = pick / 64 % (bytes * 8)
    guard isIndex || bit / 8 >= SegmentFormat.headerBytes else { return trace("a header is left alone") }
    trace("a bit of \(path) turns over at \(bit / 8)")
    node.disk.flipBitWhereMapped(path, offset: bit / 8, bit: bit % 8)
    result.flippedBits += 1
  }
}

extension Simulation {
  /// Not before the voters are known to all: until then the master's disk alone may be the quorum.
  private func emptyDirectory(of number: Int, downFor milliseconds: Int) {
    let others = nodes.filter { $0.number != number }
    let isKnown = others.allSatisfy { node in
      guard let store = node.life?.store, node.isAlive else { return false }
      return plan.level != .quorum || store.votersInLog.count == nodes.count
    }
    guard isKnown, nodes[number].isAlive else { return trace("no directory is emptied yet") }
    nodes[number].emptyDirectory()
    queue.after(UInt64(milliseconds) * 1000) { [unowned self] in nodes[number].start() }
    // A slave believes in its master for some seconds.
    queue.after(UInt64(milliseconds + 4000) * 1000) { [unowned self] in if !isHealing { replaceEmptyMaster() } }
  }

  /// The master came back without its data and waits for another one: the operator promotes the node that holds most.
  func replaceEmptyMaster() {
    guard plan.namesPeers, nodes[masterNumber].isAlive,
      nodes[masterNumber].life?.core.waitsForPeers?.contains("no master answers") == true,
      queue.now >= emptyMasterAt + 4_000_000
    else { return }
    emptyMasterAt = queue.now
    let others = nodes.filter { $0.number != masterNumber && $0.isAlive && !$0.isPaused && $0.life != nil }
    // Where all others answer, the operator has seen which one holds most: that one may show nothing yet and have heard of nobody.
    if let best = holderOfMost(of: others) {
      promote(best.number, knowsRowOfOld: true, knowsThatItHoldsMost: others.count == nodes.count - 1)
    }
  }

  /// A copy is lost for good with a directory, and the rule asks for the node that had it: the operator knows that it will
  /// not come back, sees all others, and makes the one master that holds most.
  func promoteByForce() {
    guard plan.namesPeers, queue.now >= emptyMasterAt + 4_000_000, nodes.allSatisfy(\.isAlive),
      !nodes.contains(where: { $0.isServing && $0.life?.core.isMaster == true }), let best = holderOfMost(of: nodes)
    else { return }
    emptyMasterAt = queue.now
    best.log("is promoted by force")
    best.life?.core.succession.promote(force: true) { reason in
      best.log(reason.map { "was not promoted: \($0)" } ?? "was promoted")
    }
  }

  /// The newest reign first, then the longest log.
  private func holderOfMost(of nodes: [SimulatedNode]) -> SimulatedNode? {
    nodes.max { a, b in
      let (one, other) = (a.life?.store, b.life?.store)
      let reigns = (one?.newestReign ?? .none, other?.newestReign ?? .none)
      if reigns.0 != reigns.1 { return reigns.0 < reigns.1 }
      return (one?.positions.durable ?? .none, b.number) < (other?.positions.durable ?? .none, a.number)
    }
  }

  /// A master that takes no writes because a stranger made up data of its own: the operator knows better.
  func decideDataSets() {
    for node in nodes where node.isAlive && node.life?.core.rival != nil {
      node.log("is told that its data set counts")
      guard let life = node.life else { continue }
      life.admin.run { life.core.declareDataSet { _ in } }
    }
  }

  /// A master that was cut to nothing but beginnings of terms refuses slaves that hold more, and says so: until the first
  /// write, of which there is none any more, or until the operator allows it. What was acknowledged is checked all the same.
  func acceptEmptyMaster() {
    for node in nodes where node.isAlive && node.number != masterNumber && !node.acceptsDataLoss {
      guard node.life?.core.replication.upstream.view.lastError?.contains("DATALOSS") == true else { continue }
      node.log("is started again with --accept-data-loss")
      node.acceptsDataLoss = true
      node.kill()
      node.start()
    }
  }
}

extension SimulatedNode {
  func failCall(_ call: FaultPlan.DiskCall) {
    diskMayFail = true
    let kind: SimulatedFileSystem.Call =
      switch call {
      case .write: .write
      case .flush: .flush
      case .rename: .rename
      case .flushDirectory: .flushDirectory
      case .open: .open
      case .unlink: .unlink
      }
    disk.setFault(
      .init(call: kind, number: 1 + Int(wall.milliseconds % 7), errno: SimulatedFileSystem.Fault.inputOutput))
  }
  func setFlushTime(_ microseconds: ClosedRange<Int>) {
    flushMicroseconds = microseconds
    disk.setFlushLatency(microseconds: microseconds)
  }
  func fillDisk() {
    // Some space is kept for a start: a full disk alone is no reason for one to fail.
    disk.limitCapacity(disk.usedBytes + 3000)
  }
  func emptyDisk() { disk.limitCapacity(.max) }
  func diskIsGood() {
    disk.setFault(nil)
    disk.setFailures(perMillion: [:])
    emptyDisk()
    setFlushTime(simulation.plan.flushMicroseconds)
    diskMayFail = false
  }
  /// A log that a disk error closed takes writes only after a restart.
  var needsRestart: Bool {
    guard let life, !life.seeksLostRecords else { return false }
    return life.store.isClosedForGood || life.core.replication.upstream.view.hold?.isFinal == true
  }
}

extension NodeProcess {
  /// What a client would read here now; nothing is waited for.
  func value(of key: String) -> String? {
    let worker = workers[0]
    worker.beginBatch(forwarding: false)
    defer { worker.endBatch() }
    var found: String?
    Array(key.utf8).withUnsafeBytes { bytes in
      guard let record = try? worker.loop.executor.keys.read(bytes, in: SimulatedKey.database(key)) else { return }
      found = String(decoding: record.value, as: UTF8.self)
    }
    return found
  }
}
