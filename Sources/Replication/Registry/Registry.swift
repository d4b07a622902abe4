import Core

/// The master's list of slaves: who may attach, what each one holds, and how much log must be kept for them.
/// Owned by the node's control thread; knows nothing of sockets or files.
///
/// Invariants: slaves are sorted by id, each id once; a link belongs to at most one slave; a connected slave's pin has
/// no lease running. Order of actions: `persist` comes before every answer that depends on it.
package struct Registry: Sendable {
  package private(set) var config: RegistryConfig
  package private(set) var slaves: [Slave] = []
  /// Rises at every change that slaves are told of.
  package private(set) var revision: UInt64 = 0
  private var pinsMoved = false
  /// This node, as the last registration was told of it.
  private var master: SlaveList.Master?
  private var persistedAt: Tick

  package init(config: RegistryConfig, now: Tick) {
    self.config = config
    persistedAt = now
  }

  /// Restores what `encoded` wrote: every slave is disconnected, leases go on with what was left of them.
  package init(config: RegistryConfig, restored: [RegistryRecord], now: Tick) {
    self.init(config: config, now: now)
    for record in restored.sorted(by: { $0.id < $1.id }) where record.id != slaves.last?.id {
      var pin = record.pin
      pin?.leaseExpiry = now.advanced(by: min(record.leaseMillisecondsLeft, config.leaseMilliseconds))
      slaves.append(
        Slave(
          id: record.id, address: record.address, capabilities: record.capabilities, state: .disconnected(since: now),
          ack: Ack(durableLSN: record.durableLSN, appliedLSN: .none), heardAt: now, pin: pin))
      slaves[slaves.count - 1].isVoter = record.isVoter
      slaves[slaves.count - 1].hasShown = true
    }
  }

  package mutating func step(_ event: RegistryEvent, now: Tick) -> [RegistryAction] {
    switch event {
    case .register(let link, let request, let master): return register(link, request, master, now)
    case .planned(let link, let plan, let pinFrom): return planned(link, plan, pinFrom, now)
    case .progress(let link, let progress):
      guard let index = index(of: link) else { return [] }
      switch slaves[index].state {
      case .syncing(_, let mode, _): slaves[index].state = .syncing(link, mode, progress)
      case .registered, .streaming, .disconnected: break
      }
      return []
    case .sent(let link, let lsn, let fileBytes):
      guard let index = index(of: link) else { return [] }
      slaves[index].sentLSN = max(slaves[index].sentLSN, lsn)
      slaves[index].sentFileBytes = max(slaves[index].sentFileBytes, fileBytes)
      return []
    case .streaming(let link):
      guard let index = index(of: link) else { return [] }
      slaves[index].state = .streaming(link)
      return [broadcast()]
    case .synced(let link, let record, let ratios):
      guard let index = index(of: link) else { return [] }
      slaves[index].lastSync = record
      slaves[index].ratios = ratios.completed(by: slaves[index].ratios)
      return []
    case .acked(let link, let ack): return acked(link, ack, now)
    case .proved(let link, let proof):
      guard let index = index(of: link) else { return [] }
      slaves[index].proof = max(slaves[index].proof, proof)
      guard !slaves[index].hasShown else { return [] }
      slaves[index].hasShown = true
      return [.persist, broadcast()]
    case .linkClosed(let link):
      guard let index = index(of: link) else { return [] }
      let slave = slaves[index]
      // A client that only registered, or acknowledged what it does not hold, leaves nothing behind. A first sync that was cut
      // goes on within the lease.
      if !slave.hasShown, slave.pin == nil || slave.state.isStreaming { return unregister(slave.id) }
      detach(index, now)
      return [.persist, broadcast()]
    case .unregister(let id): return unregister(id)
    case .measured(let id, let lagBytes): return measured(id, lagBytes)
    case .unreadable(let link, let why): return unreadable(link, why)
    case .upstreamChanged(let nodes): return upstreamChanged(nodes, now)
    case .leaseTick: return leaseTick(now)
    case .reviewReplaced(let voters): return reviewReplaced(voters, now)
    case .met(let row): return met(row, now)
    }
  }

  // MARK: questions

  /// The lowest LSN that the log must keep for slaves; nil if nobody holds it.
  package func pinnedLSN(now: Tick) -> LSN? {
    slaves.compactMap { slave in
      guard let pin = slave.pin else { return nil }
      if let expiry = pin.leaseExpiry, expiry <= now { return nil }
      return pin.fromLSN
    }.min()
  }

  /// A slave that is away has a pin: the log stays unsettled until it is back or its lease is over.
  package func holdsForAbsent(now: Tick) -> Bool {
    slaves.contains { slave in
      guard slave.state.link == nil, let pin = slave.pin else { return false }
      return pin.leaseExpiry.map { $0 > now } ?? true
    }
  }

  /// The slaves whose acks count for a commit: only those that follow the stream. A slave that still builds its copy
  /// would not have the records if it had to take over.
  package var countingAcks: [SlaveAck] {
    slaves.compactMap { $0.countsForCommit ? SlaveAck(id: $0.id, durableLSN: $0.ack.durableLSN) : nil }
  }

  /// For WAIT: their durable LSNs alone.
  package var ackedDurableLSNs: [LSN] { countingAcks.map(\.durableLSN) }

  /// What decides who votes.
  package var voterFacts: [VoterFacts] { slaves.map(VoterFacts.init) }

  package func slave(_ id: NodeID) -> Slave? { slaves.first { $0.id == id } }
  package func slave(on link: LinkID) -> Slave? { index(of: link).map { slaves[$0] } }

  package var list: SlaveList {
    SlaveList(
      revision: revision, master: master,
      slaves: slaves.filter(\.hasShown).map {
        SlaveList.Entry(
          id: $0.id, address: $0.address, state: $0.state.listState, isVoter: $0.isVoter,
          durableLSN: $0.ack.durableLSN, appliedLSN: $0.ack.appliedLSN)
      })
  }

  /// This node's own slaves, as its own registration's `chain` names them.
  package var slaveIDs: [NodeID] { slaves.filter { $0.state.link != nil }.map(\.id) }

  private func index(of link: LinkID) -> Int? { slaves.firstIndex { $0.state.link == link } }

  private mutating func broadcast() -> RegistryAction {
    revision += 1
    return .broadcastSlaveList(list)
  }

  // MARK: registration

  private mutating func register(
    _ link: LinkID, _ request: RegisterRequest, _ master: MasterFacts, _ now: Tick
  ) -> [RegistryAction] {
    let isEstablished = master.isConfirmed || slaves.contains(where: \.state.isStreaming)
    let verdict = StrangerRule.verdict(request, lineage: master.lineage, isEstablished: isEstablished)
    let rivals: [RegistryAction] =
      verdict == .rivals
      ? [.rivalSeen(request.lineage ?? .unknown, from: request.id, at: request.address)] : []
    if let refusal = refusal(link, request, master, now) {
      let news: [RegistryAction] =
        refusal.code == .staleTerm
        ? [.newerReignSeen(request.knownReign, from: request.id, at: request.address)] : []
      return [.refuse(link, refusal)] + news
    }
    if verdict != .none { return introduce(link, request, master) + rivals }
    if let refusal = dataSetRefusal(request, master) { return [.refuse(link, refusal)] }
    self.master = SlaveList.Master(id: config.ownID, address: master.address, isVoter: master.isVoter)

    var actions: [RegistryAction] = []
    let capabilities = request.capabilities.intersection(master.capabilities)
    let index: Int
    if let known = slaves.firstIndex(where: { $0.id == request.id }) {
      if let old = slaves[known].state.link, old != link {
        // The slave reconnected before its old connection was seen to be dead.
        let error = ReplicationError(.replaced, "slave \(request.id) registered on another connection")
        actions.append(.disconnect(old, error))
      }
      index = known
    } else {
      actions += makeRoom()
      index = slaves.firstIndex { request.id < $0.id } ?? slaves.count
      slaves.insert(
        Slave(
          id: request.id, address: request.address, capabilities: capabilities, state: .registered(link), heardAt: now),
        at: index)
    }
    slaves[index].address = request.address
    slaves[index].capabilities = capabilities
    slaves[index].isVoter = request.isVoter
    slaves[index].broughtData = request.hasData
    slaves[index].state = .registered(link)
    slaves[index].sentLSN = .none
    slaves[index].sentFileBytes = 0
    slaves[index].ack = Ack(durableLSN: .none, appliedLSN: .none)
    slaves[index].proof = .none
    slaves[index].heardAt = now
    slaves[index].pin?.leaseExpiry = nil
    let list = broadcast()
    return actions + [.persist, .reply(link, reply(master, capabilities)), list]
  }

  private func reply(_ master: MasterFacts, _ capabilities: Capabilities) -> RegisterReply {
    var reply = RegisterReply(
      id: config.ownID, address: master.address, reign: master.reign, last: master.last, history: master.history,
      lineage: master.lineage, hasData: master.hasData || master.isConfirmed, capabilities: capabilities,
      upstream: master.upstream, slaves: slaves.map { RegisterReply.Slave(id: $0.id, address: $0.address) },
      voters: master.voters)
    reply.starts = master.starts
    return reply
  }

  /// A node of another data set, which it keeps. An older one would not look at what this one holds before it asks for it.
  private func introduce(
    _ link: LinkID, _ request: RegisterRequest, _ master: MasterFacts
  ) -> [RegistryAction] {
    guard request.givesUp == nil else { return [.introduce(link, reply(master, []))] }
    return [
      .refuse(
        link,
        ReplicationError(
          .otherDataSet,
          "slave \(request.id) holds data set \(request.lineage ?? .unknown), this master \(master.lineage): nothing is "
            + "given up for it; allow it with accept-data-loss yes"))
    ]
  }

  /// Why this slave may not attach; nil if it may. Nothing has changed yet.
  private func refusal(
    _ link: LinkID, _ request: RegisterRequest, _ master: MasterFacts, _ now: Tick
  ) -> ReplicationError? {
    if request.id == config.ownID || request.address == master.address {
      return ReplicationError(.selfRegister, "\(request.id) at \(request.address) is this node itself")
    }
    let below = [request.id] + request.chain
    if below.contains(config.ownID) {
      return ReplicationError(.cycle, "this node already gets its data through \(request.id)")
    }
    if let both = master.upstream.first(where: { below.contains($0) }) {
      return ReplicationError(.cycle, "this node gets its data from \(both), which is at or below \(request.id)")
    }
    // Terms of another data set say nothing about this one.
    if request.knownReign > master.reign, request.lineage == master.lineage {
      return ReplicationError(
        .staleTerm,
        "slave \(request.id) knows of \(request.knownReign), this node's is \(master.reign): there is or was a newer master"
      )
    }
    if let other = slave(on: link), other.id != request.id {
      return ReplicationError(.duplicateID, "this connection is already slave \(other.id)")
    }
    if let known = slave(request.id), let old = known.state.link, old != link {
      // Its acks come several times a second: that connection is not one that only looks alive.
      if known.state.isStreaming, now.since(known.heardAt) < config.ackedMilliseconds {
        return ReplicationError(
          .duplicateID, "slave \(request.id) follows the stream on another connection, and was heard of a moment ago")
      }
      let isAlive = now.since(known.heardAt) < config.silenceMilliseconds
      if isAlive, known.address != request.address {
        return ReplicationError(
          .duplicateID,
          "slave \(request.id) is connected from \(known.address); a copied data directory needs a new node id")
      }
      return nil
    }
    let others = slaves.filter { $0.state.link != nil && $0.id != request.id }.count
    if others >= config.slavesMax {
      return ReplicationError(.maxSlaves, "\(others) slaves are connected, at most \(config.slavesMax) are allowed")
    }
    return nil
  }

  /// Why this slave and this master do not become one data set.
  private func dataSetRefusal(_ request: RegisterRequest, _ master: MasterFacts) -> ReplicationError? {
    if let rival = master.rival, !request.hasData {
      return ReplicationError(
        .otherDataSet,
        "this master holds data set \(master.lineage) and takes no writes and no new slaves, because a node of data set "
          + "\(rival) claims its place, until an operator decides: MS_NEW_DATA_SET there keeps its own")
    }
    if !master.hasData, !master.isConfirmed, request.hasData, !request.acceptDataLoss {
      return ReplicationError(
        .dataLoss,
        "this master is empty and slave \(request.id) is not: attaching would delete its data; allow it with "
          + "accept-data-loss yes")
    }
    return nil
  }

  /// The list of known slaves is bounded too: the one that has been away longest is forgotten.
  private mutating func makeRoom() -> [RegistryAction] {
    guard slaves.count >= knownMax else { return [] }
    var oldest: (index: Int, since: Tick)?
    for (index, slave) in slaves.enumerated() {
      switch slave.state {
      case .disconnected(let since):
        if oldest.map({ since < $0.since }) ?? true { oldest = (index, since) }
      case .registered, .syncing, .streaming: continue
      }
    }
    guard let oldest else { return [] }
    let slave = slaves.remove(at: oldest.index)
    let error = ReplicationError(.maxSlaves, "slave \(slave.id) has been away longest and was forgotten for a new one")
    return slave.pin.map { [.pinReleased(slave.id, $0, error)] } ?? []
  }

  // MARK: the life of a slave

  private mutating func planned(_ link: LinkID, _ plan: PlanReport, _ pinFrom: LSN, _ now: Tick) -> [RegistryAction] {
    guard let index = index(of: link) else {
      return [.refuse(link, ReplicationError(.notRegistered, "MS_REGISTER_SLAVE comes before MS_SYNC_SLAVE"))]
    }
    slaves[index].plan = plan
    slaves[index].heardAt = now
    guard let mode = plan.mode else { return [] }
    let total = (plan.chosenCost?.bytes ?? 0)
    slaves[index].state = .syncing(link, mode, SyncProgress(bytesTotal: total))
    // A partial sync begins with what both hold. A full one begins with nothing: what the slave had does not count.
    slaves[index].sentLSN = mode == .full ? .none : plan.startLSN.previous
    slaves[index].sentFileBytes = mode == .full ? plan.heldBytes : 0
    slaves[index].proof = .none
    slaves[index].pin = Pin(fromLSN: pinFrom)
    return [.persist, broadcast()]
  }

  private mutating func acked(_ link: LinkID, _ ack: Ack, _ now: Tick) -> [RegistryAction] {
    guard let index = index(of: link) else { return [] }
    do {
      try ack.check(
        sentLSN: slaves[index].sentLSN, sentFileBytes: slaves[index].sentFileBytes, previous: slaves[index].ack)
    } catch {
      detach(index, now)
      return [.disconnect(link, error), .persist, broadcast()]
    }
    slaves[index].ack = ack
    slaves[index].ackedAt = now
    slaves[index].heardAt = now
    switch slaves[index].state {
    case .streaming, .syncing:
      if let pin = slaves[index].pin, ack.durableLSN.next > pin.fromLSN {
        slaves[index].pin?.fromLSN = ack.durableLSN.next
        pinsMoved = true
      }
    case .registered, .disconnected: break
    }
    return []
  }

  private mutating func detach(_ index: Int, _ now: Tick) {
    slaves[index].state = .disconnected(since: now)
    slaves[index].pin?.leaseExpiry = now.advanced(by: config.leaseMilliseconds)
    slaves[index].heardAt = now
  }

  private mutating func unregister(_ id: NodeID) -> [RegistryAction] {
    guard let index = slaves.firstIndex(where: { $0.id == id }) else { return [] }
    let slave = slaves.remove(at: index)
    let error = ReplicationError(.detached, "slave \(id) was removed from this master")
    var actions: [RegistryAction] = [.persist]
    if let link = slave.state.link { actions.append(.disconnect(link, error)) }
    if let pin = slave.pin { actions.append(.pinReleased(id, pin, error)) }
    return actions + [broadcast()]
  }

  private mutating func measured(_ id: NodeID, _ lagBytes: UInt64) -> [RegistryAction] {
    guard let index = slaves.firstIndex(where: { $0.id == id }) else { return [] }
    slaves[index].lagBytes = lagBytes
    guard let pin = slaves[index].pin, lagBytes > config.pinBytesMax else { return [] }
    slaves[index].pin = nil
    let error = ReplicationError(
      .pinLost,
      "slave \(id) is \(Readable.bytes(lagBytes)) behind, at most \(Readable.bytes(config.pinBytesMax)) of log are kept for it"
    )
    return [.persist, .pinReleased(id, pin, error)]
  }

  /// A node that came back with an empty directory has a new id. Its old one is not there any more when another answers at
  /// its address and has shown what it holds; a voter goes out of the list of voters first.
  private mutating func reviewReplaced(_ voters: [NodeID], _ now: Tick) -> [RegistryAction] {
    let present = slaves.filter { $0.state.link != nil && $0.proof == .data }
    let gone = slaves.filter { slave in
      slave.state.link == nil && !voters.contains(slave.id)
        && now.since(slave.heardAt) >= VoterPolicy.silentMilliseconds
        && present.contains { $0.address == slave.address && $0.id != slave.id }
    }
    return gone.flatMap { unregister($0.id) }
  }

  /// Log that cannot be sent is held for nothing, and as long as it is held a damaged record that is dead everywhere else
  /// counts as needed here: it could not be left out, and the slave would come back to it again and again.
  private mutating func unreadable(_ link: LinkID, _ why: String) -> [RegistryAction] {
    guard let index = index(of: link), let pin = slaves[index].pin else { return [] }
    slaves[index].pin = nil
    return [.persist, .pinReleased(slaves[index].id, pin, ReplicationError(.pinLost, why))]
  }

  private mutating func upstreamChanged(_ nodes: [NodeID], _ now: Tick) -> [RegistryAction] {
    var actions: [RegistryAction] = []
    for index in slaves.indices {
      guard nodes.contains(slaves[index].id), let link = slaves[index].state.link else { continue }
      let error = ReplicationError(.cycle, "this node now gets its data from its slave \(slaves[index].id)")
      detach(index, now)
      actions.append(.disconnect(link, error))
    }
    return actions.isEmpty ? [] : [.persist] + actions + [broadcast()]
  }

  /// This node follows a master, which told it of its row. The nodes are kept like slaves that are away, so that whoever is
  /// master next knows all of them, also those that it has never had a connection to, and after a restart.
  private mutating func met(_ row: SlaveList, _ now: Tick) -> [RegistryAction] {
    let nodes = row.known(without: config.ownID)
    var isChanged = false
    for node in nodes {
      if let index = slaves.firstIndex(where: { $0.id == node.id }) {
        guard slaves[index].state.link == nil else { continue }
        // Who was a slave of this node and gets its log there needs none from here.
        let isElsewhere = node.isMaster || row.slaves.contains { $0.id == node.id && $0.state != .disconnected }
        if isElsewhere, slaves[index].pin != nil {
          slaves[index].pin = nil
          isChanged = true
        }
        guard slaves[index].address != node.address || slaves[index].isVoter != node.isVoter else { continue }
        slaves[index].address = node.address
        slaves[index].isVoter = node.isVoter
      } else {
        guard slaves.count < knownMax else { continue }
        var slave = Slave(
          id: node.id, address: node.address, capabilities: Capabilities(), state: .disconnected(since: now),
          heardAt: now)
        slave.isVoter = node.isVoter
        slave.hasShown = true
        slaves.insert(slave, at: slaves.firstIndex { node.id < $0.id } ?? slaves.count)
      }
      isChanged = true
    }
    // Who was removed there is forgotten here.
    let before = slaves.count
    slaves.removeAll { slave in
      slave.state.link == nil && slave.pin == nil && !nodes.contains { $0.id == slave.id }
    }
    return isChanged || slaves.count < before ? [.persist] : []
  }

  private var knownMax: Int { min(max(config.slavesMax, 1) * 4, SlaveList.slavesMax) }

  private mutating func leaseTick(_ now: Tick) -> [RegistryAction] {
    var released: [RegistryAction] = []
    var hasGone = false
    for index in slaves.indices {
      guard let pin = slaves[index].pin, let expiry = pin.leaseExpiry, expiry <= now else { continue }
      slaves[index].pin = nil
      hasGone = hasGone || !slaves[index].hasShown
      let error = ReplicationError(.pinLost, "slave \(slaves[index].id) has been away longer than its lease")
      released.append(.pinReleased(slaves[index].id, pin, error))
    }
    if hasGone { slaves.removeAll { !$0.hasShown && $0.pin == nil && $0.state.link == nil } }
    let isDue = pinsMoved && now.since(persistedAt) >= config.persistIntervalMilliseconds
    guard !released.isEmpty || isDue else { return [] }
    pinsMoved = false
    persistedAt = now
    return [.persist] + released
  }
}
