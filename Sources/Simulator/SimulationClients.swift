import Core
import LogStore
import Node
import RESP

// What clients tell: what they sent, what ran where, and what they were answered.
extension Simulation {
  func nextValue() -> Int {
    values += 1
    return values
  }

  func nextLine() -> Int {
    lines += 1
    return lines
  }

  func sent(_ batch: [ClientCommand]) {
    for command in batch {
      result.commands += 1
      command.order = result.commands
    }
    open += batch
  }

  /// A command ran on a node: what it wrote, and what it could see.
  func ran(_ command: ClientCommand, on node: NodeProcess, appendedBefore: UInt64, appendedAfter: UInt64) {
    let store = node.store
    command.ran = true
    command.node = node.site.number
    // A master that was replaced and has not heard of it may show what is old, but not where a quorum commits: its lease
    // is over by then.
    command.isMasters = !store.isReplica
    command.wasMaster = !store.isReplica && (node.site.number == masterNumber || plan.level == .quorum)
    command.visible = store.isReplica ? store.positions.applied : LSN(appendedAfter)
    command.branch = store.terms
    let database = command.keys.first.map(SimulatedKey.database)
    command.level = plan.level.ofRecords.joined(command.level).joined(database.flatMap(store.tableLevel))
    command.voters = store.votersInLog.count
    guard appendedAfter > appendedBefore, let reign = store.terms.last?.reign else { return }
    command.positions = (appendedBefore + 1...appendedAfter).map { Position(reign, lsn: LSN($0)) }
    guard command.writes, command.positions.count == command.records else {
      return report(Violation("odd log", "\(command.name) took \(command.positions.count) LSNs"))
    }
    for position in command.positions { levels[position] = (command.level, command.voters) }
    for (i, key) in command.keys.enumerated() {
      written.wrote(key, command.kind == .delete ? nil : command.values[i], at: command.positions[i])
    }
  }

  func replied(_ command: ClientCommand, _ reply: RESPValue) {
    command.completedAt = queue.now
    open.removeAll { $0 === command }
    if case .error(let error) = reply {
      if error.code == "UNCERTAIN" || error.code == "SYNCTIMEOUT" {
        command.completedAt = nil
        open.append(command)
      } else if !command.positions.isEmpty, command.kind != .queuedSet {
        report(Violation("refused and done", "\(command.name): \(error)"))
      }
      return
    }
    fingerprint(UInt64(command.visible.value), queue.now)
    if command.writes {
      lastAcknowledged = queue.now
      for position in command.positions {
        acknowledged.acknowledge(position, command.name)
        checkLevel(position, command)
      }
    }
    if command.writes, command.positions.isEmpty, !command.mayChangeNothing,
      reply != .null || command.kind != .exec
    {
      report(Violation("acknowledged and not done", "\(command.name): \(reply)"))
    }
    for (key, value) in seen(command, reply) {
      let upTo = command.positions.first?.lsn.previous ?? command.visible
      // A client's last command may meet the entries that were taken out, before they are back.
      if command.node != nodeOfBrokenIndex,
        let violation = prefixes.read(
          key, value, node: command.node, at: upTo, in: command.branch, written, mayBeGone: SimulatedKey.mayExpire(key))
      {
        report(violation)
      }
      if let newest = written.newest(key, upTo: upTo, in: command.branch) {
        acknowledged.show(newest.position, command.name, on: command.node)
        checkLevel(newest.position, command)
      }
    }
    if command.wasMaster { note(command, reply: reply) }
  }

  /// What a master tells of is on the disks that its level asks for.
  private func checkLevel(_ position: Position, _ command: ClientCommand) {
    guard plan.durability == .fsync, command.isMasters else { return }
    let (level, voters) = levels[position] ?? (.async, 0)
    if let violation = onDisk.check(
      position, level, voters: min(voters, command.voters), node: command.node, command.name)
    {
      report(violation)
    }
  }

  /// What a reply tells of keys.
  private func seen(_ command: ClientCommand, _ reply: RESPValue) -> [(String, String?)] {
    switch command.kind {
    case .get, .exchange: reply.held.map { [(command.keys[0], $0)] } ?? []
    case .getMany: zip(command.keys, reply.elements ?? []).map { key, part in (key, part.held ?? nil) }
    case .set, .delete, .setMany, .setExpiring, .multi, .queuedSet, .exec, .select, .setLevel, .setTableLevel: []
    }
  }

  /// Adds a command to the histories of its keys.
  func note(_ command: ClientCommand, reply: RESPValue?) {
    func add(_ key: String, _ kind: RegisterOperation.Kind) {
      guard !SimulatedKey.mayExpire(key) else { return }
      let operation = RegisterOperation(
        kind, invoked: command.sentAt, completed: command.completedAt, line: command.line,
        hint: command.positions.first.map { UInt64($0.term.value) << 40 | $0.lsn.value } ?? 0)
      registers[key, default: []].append((command.order, operation))
    }
    func id(_ value: String?) -> Int { value.flatMap { Int($0.prefix { $0 != ":" }) } ?? 0 }
    switch command.kind {
    case .set, .setMany, .exec:
      guard !command.positions.isEmpty else { return }
      for (key, value) in zip(command.keys, command.values) { add(key, .write(id(value))) }
    case .get, .getMany:
      guard let reply else { return }
      for (key, value) in seen(command, reply) { add(key, .read(id(value))) }
    case .delete:
      if case .integer(let count)? = reply { add(command.keys[0], .delete(existed: count == 1)) }
      if reply == nil { add(command.keys[0], .delete(existed: nil)) }
    case .exchange:
      if let old = reply?.held { add(command.keys[0], .exchange(new: id(command.values[0]), old: id(old))) }
      if reply == nil { add(command.keys[0], .exchange(new: id(command.values[0]), old: nil)) }
    case .setExpiring, .multi, .queuedSet, .select, .setLevel, .setTableLevel: break
    }
  }
}

extension RESPValue {
  /// What a key holds by this reply; the outer nil if the reply tells nothing of it.
  fileprivate var held: String?? {
    switch self {
    case .bulk: .some(string)
    case .null: .some(nil)
    case .simple, .error, .integer, .array, .map, .set, .push, .double, .boolean, .bigNumber, .verbatim: nil
    }
  }
}
