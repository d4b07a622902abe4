import Core
import Node

// What must hold when nothing goes wrong any more and the cluster has come together.
extension Simulation {
  func checkTheEnd() {
    guard let master = nodes[masterNumber].life else { return }
    let branch = master.store.terms
    let last = master.store.positions.appended
    for violation in acknowledged.check(against: branch, endingAt: last) { report(violation) }
    let digest = master.core.digest()
    // The id of a directory that was emptied votes until its place is taken, which needs some seconds of silence, or an order.
    let known = nodes.reduce(into: Set(nodes.compactMap { $0.directory?.node })) { $0.formUnion($1.formerIDs) }
    for voter in master.core.commitment.voters.ids where !known.contains(voter) {
      report(Violation("a stranger votes", "\(voter) of \(master.core.commitment.voters.ids)"))
    }
    for node in nodes {
      guard let life = node.life else { continue }
      let own = life.core.digest()
      // A dead record that cannot be read counts beside the one that replaced it.
      if own.lsn != digest.lsn || own.ranges != digest.ranges, !nodes.contains(where: \.isDamagedForGood) {
        report(Violation("digests differ", "node \(node.number): \(own), master: \(digest)"))
      }
      for key in written.keys {
        let value = life.value(of: key)
        // An error, or nothing.
        if value == nil, node.isDamagedForGood { continue }
        if let violation = prefixes.read(
          key, value, node: node.number, at: last, in: branch, written, mayBeGone: SimulatedKey.mayExpire(key))
        {
          report(violation)
        }
      }
    }
    checkRegisters()
  }

  /// With one master all the time, and everything acknowledged on its disk, every key is a register.
  private func checkRegisters() {
    guard acknowledged.losses.isEmpty else { return }
    for command in open where command.ran { note(command, reply: nil) }
    for key in registers.keys.sorted() {
      let history = (registers[key] ?? []).sorted { $0.order < $1.order }.map(\.operation)
      switch LinearizabilityChecker.check(history) {
      case .linearizable: break
      case .violated(let operation):
        for operation in history { trace("\(key) \(operation)") }
        report(Violation("not linearizable", "\(key): \(operation)"))
      case .tooComplex: result.undecided += 1
      }
    }
  }

  /// For the trace of a run that failed: where nodes differ from what was written.
  func traceDifferences() {
    guard isTraced else { return }
    for node in nodes {
      guard let life = node.life, node.isAlive else { continue }
      let applied = life.store.positions.applied
      for key in written.keys {
        let value = life.value(of: key)
        let expected = written.newest(key, upTo: applied, in: life.store.terms)
        guard value != expected?.value else { continue }
        trace(
          "node \(node.number) at \(applied) has \(key) = \(value?.prefix(12) ?? "nothing"), written was \(expected?.value?.prefix(12) ?? "nothing") at \(expected.map { "\($0.position)" } ?? "no position")"
        )
      }
    }
  }
}
