// Raw memory: looks a key up where its bytes lie.
import Node

extension Simulation {
  /// Makes one thing of the plan go wrong.
  func apply(_ fault: FaultPlan.Fault) {
    trace("fault: \(fault)")
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
    case .clockJump(let node, let milliseconds): nodes[node].wallOffset += Int64(milliseconds)
    case .cut(let from, let to, let bothWays, let milliseconds):
      cut([(from, to)] + (bothWays ? [(to, from)] : []), milliseconds)
    case .isolate(let node, let fromClients, let milliseconds):
      var others = nodes.map(\.number).filter { $0 != node }
      if fromClients { others += (0..<plan.clients).map { 1000 + $0 } }
      cut(others.flatMap { [(node, $0), ($0, node)] }, milliseconds)
    case .dropConnections(let node): network.dropConnections(of: node)
    case .diskError(let node, let call, let milliseconds):
      nodes[node].failCall(call)
      after(milliseconds) { simulation in
        simulation.nodes[node].diskIsGood()
        simulation.nodes[node].kill()
        simulation.nodes[node].start()
      }
    case .slowDisk(let node, let microseconds, let milliseconds):
      nodes[node].setSyncTime(microseconds...microseconds * 2)
      after(milliseconds) { $0.nodes[node].setSyncTime($0.plan.syncMicroseconds) }
    case .fullDisk(let node, let milliseconds):
      nodes[node].fillDisk()
      after(milliseconds) { $0.nodes[node].emptyDisk() }
    case .compact(let node): nodes[node].life?.compact(isForced: true)
    case .save(let node):
      guard let life = nodes[node].life, nodes[node].isAlive else { return }
      life.admin.run { try? life.core.saveGeneration() }
    case .promote(let node): promote(node)
    case .handover(let node): handOver(to: node)
    }
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

extension SimulatedNode {
  func failCall(_ call: FaultPlan.DiskCall) {
    diskMayFail = true
    let kind: SimulatedFileSystem.Call =
      switch call {
      case .write: .write
      case .sync: .sync
      case .rename: .rename
      case .syncDirectory: .syncDirectory
      case .open: .open
      case .unlink: .unlink
      }
    disk.setFault(
      .init(call: kind, number: 1 + Int(wall.milliseconds % 7), errno: SimulatedFileSystem.Fault.inputOutput))
  }
  func setSyncTime(_ microseconds: ClosedRange<Int>) {
    syncMicroseconds = microseconds
    disk.setSyncLatency(microseconds: microseconds)
  }
  func fillDisk() {
    diskMayFail = true
    disk.limitCapacity(disk.usedBytes + 3000)
  }
  func emptyDisk() { disk.limitCapacity(.max) }
  func diskIsGood() {
    disk.setFault(nil)
    disk.setFailures(perMillion: [:])
    emptyDisk()
    setSyncTime(simulation.plan.syncMicroseconds)
    diskMayFail = false
  }
  /// A log that a disk error closed takes writes only after a restart.
  var needsRestart: Bool {
    guard let life else { return false }
    return life.store.isClosedForGood || life.core.replication.upstream.view.hold?.isFinal == true
  }
}

extension NodeProcess {
  /// What a client would read here now; nothing is waited for.
  func value(of key: String) -> String? {
    let worker = workers[0]
    worker.beginBatch()
    defer { worker.endBatch() }
    var found: String?
    Array(key.utf8).withUnsafeBytes { bytes in
      guard let record = try? worker.executor.read(bytes, in: 0) else { return }
      found = String(decoding: record.value, as: UTF8.self)
    }
    return found
  }
}
