// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import NIOCore
import Node
import RESP
import Replication

extension ServerCore {
  /// REPLICAOF, SLAVEOF, ROLE, WAIT, WAITLSN and the MS_ commands.
  func replicationCommand(
    _ command: Command, _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    switch command {
    case .replicaof, .slaveof: return try replicaOf(arguments, executor)
    case .role: role(executor)
    case .wait: return try wait(arguments, executor, session)
    case .waitaof: return try waitDisks(arguments, executor, session)
    case .waitlsn: return try waitLSN(arguments, executor)
    case .msRegisterSlave: return registerSlave(arguments, executor, session)
    case .msSyncSlave: return syncSlave(arguments, executor, session)
    case .msPlan: return try plan(arguments, executor)
    case .msSlaves: slaves(executor)
    case .failover: return try failOver(arguments, executor)
    case .promote: return try promote(arguments, executor)
    case .msVoter: return try changeVoter(arguments, executor)
    case .msNewDataSet: return declareDataSet(executor)
    case .msReplaced: return try replaced(arguments, executor)
    case .msVote: return vote(arguments, executor)
    case .msState: return state(executor)
    case .msNewMaster: return newMaster(arguments, executor)
    default: preconditionFailure("\(command) is no replication command")
    }
    return .done
  }

  func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

  func texts(_ arguments: borrowing ArgumentList) -> [String] {
    var out: [String] = []
    for i in 1..<max(1, arguments.count) { out.append(text(arguments[i])) }
    return out
  }

  // MARK: REPLICAOF

  private func replicaOf(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if equalsIgnoringCase(arguments[1], "no"), equalsIgnoringCase(arguments[2], "one") {
      let pending = PendingReply()
      node.becomeMaster { [self] failure in
        pending.fulfil { executor in
          if let failure { executor.reply.error("ERR \(failure)") } else { executor.reply.ok() }
        }
        stateChanged()
      }
      return suspended(pending, executor)
    }
    guard let port = parseInteger(arguments[2]), port > 0, port < 65_536 else {
      throw .text("ERR Invalid master port")
    }
    guard let master = NodeAddress(host: text(arguments[1]), port: Int(port)) else {
      throw .text("ERR Invalid master host")
    }
    // A link that the disk stopped is tried again on request, and a master whose data set this node refused is taken now.
    let view = replication.upstream.view
    if role == .slave(of: master), view.hold == nil, view.refusedLineage == nil, view.dissentsFrom == nil {
      executor.reply.simple("OK Already connected to specified master")
      return .done
    }
    let pending = PendingReply()
    adminPool.submit { [self] _ in
      node.replicaOf(master)
      pending.fulfil { $0.reply.ok() }
      stateChanged()
    }
    return suspended(pending, executor)
  }

  /// Commands that come here are never run inside a transaction's unit: they have the flag `waits`, or are refused when they
  /// are queued.
  func suspended(_ pending: PendingReply, _ executor: Executor) -> Outcome {
    precondition(!executor.inTransaction, "a command that waits is run inside a transaction")
    return .suspended(.reply(pending))
  }

  // MARK: ROLE

  private func role(_ executor: Executor) {
    switch role {
    case .master:
      let online = replication.slaves.filter { $0.state.link != nil }
      executor.reply.array(3)
      executor.reply.bulk("master")
      executor.reply.integer(Int64(store.positions.appended.value))
      executor.reply.array(online.count)
      for slave in online {
        executor.reply.array(3)
        executor.reply.bulk(slave.address.host)
        executor.reply.bulk(String(slave.address.port))
        executor.reply.bulk(slave.ack.appliedLSN.description)
      }
    case .slave(let master):
      let view = replication.upstream.view
      executor.reply.array(5)
      executor.reply.bulk("slave")
      executor.reply.bulk(master.host)
      executor.reply.integer(Int64(master.port))
      executor.reply.bulk(view.isInSync ? "connected" : view.isLinkUp ? "sync" : "connect")
      executor.reply.integer(Int64(store.positions.applied.value))
    }
  }

  // MARK: WAIT, WAITLSN

  private func wait(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
    -> Outcome
  {
    guard isMaster else {
      throw .text(
        "ERR WAIT cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
      )
    }
    guard let count = parseInteger(arguments[1]) else { throw .notInteger }
    guard let timeout = parseInteger(arguments[2]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    let lsn = LSN(session.lastWrite)
    let reached = acknowledged(lsn)
    if reached >= count || executor.inTransaction {
      executor.reply.integer(Int64(reached))
      return .done
    }
    let deadline = timeout == 0 ? nil : Clocks.monotonic.advanced(by: UInt64(timeout))
    return .suspended(.slaves(count: Int(clamping: count), lsn: lsn, deadline: deadline))
  }

  /// How many slaves have everything up to an LSN on disk.
  private func acknowledged(_ lsn: LSN) -> Int { replication.ackedDurableLSNs.count { $0 >= lsn } }

  func waitOutcome(_ count: Int, _ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply.Answer?? {
    guard isMaster else { return Self.unblocked }
    let reached = acknowledged(lsn)
    guard reached >= count || deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some { $0.reply.integer(Int64(reached)) }
  }

  /// The LSN that a client waits for may be another record in the new master's log.
  private static let unblocked: PendingReply.Answer?? = .some {
    $0.reply.error("UNBLOCKED this node is no master any more: what was waited for may be lost")
  }

  /// WAITAOF numlocal numreplicas timeout: like WAIT, and whether this node has it on disk.
  private func waitDisks(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure) -> Outcome
  {
    guard let local = parseInteger(arguments[1]), let count = parseInteger(arguments[2]) else { throw .notInteger }
    guard local == 0 || local == 1, count >= 0 else { throw .text("ERR value is out of range") }
    guard let timeout = parseInteger(arguments[3]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    if count > 0, !isMaster {
      throw .text("ERR WAITAOF cannot be used with replica instances.")
    }
    let lsn = LSN(session.lastWrite)
    let deadline =
      executor.inTransaction ? executor.tick : timeout == 0 ? nil : executor.tick.advanced(by: UInt64(timeout))
    if let answer = waitDisksOutcome(Int(local), Int(clamping: count), lsn, deadline, executor.tick) {
      answer?(executor)
      return .done
    }
    return .suspended(.disks(local: Int(local), slaves: Int(clamping: count), lsn: lsn, deadline: deadline))
  }

  func waitDisksOutcome(_ local: Int, _ count: Int, _ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply.Answer??
  {
    guard count == 0 || isMaster else { return Self.unblocked }
    let here = store.positions.durable >= lsn ? 1 : 0
    let reached = acknowledged(lsn)
    guard here >= local && reached >= count || deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some {
      $0.reply.array(2)
      $0.reply.integer(Int64(here))
      $0.reply.integer(Int64(reached))
    }
  }

  private func waitLSN(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard let wanted = parseInteger(arguments[1]), wanted >= 0 else { throw .notInteger }
    guard let timeout = parseInteger(arguments[2]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    let lsn = LSN(UInt64(wanted))
    if store.positions.applied >= lsn || executor.inTransaction {
      executor.reply.integer(store.positions.applied >= lsn ? 1 : 0)
      return .done
    }
    return .suspended(.visible(lsn: lsn, deadline: timeout == 0 ? nil : Clocks.monotonic.advanced(by: UInt64(timeout))))
  }

  func visibleOutcome(_ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply.Answer?? {
    if store.positions.applied >= lsn { return .some { $0.reply.integer(1) } }
    guard deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some { $0.reply.integer(0) }
  }

  // MARK: MS_REGISTER_SLAVE, MS_SYNC_SLAVE

  private func registerSlave(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    let request: RegisterRequest
    do throws(ReplicationError) {
      request = try RegisterRequest(parsing: texts(arguments))
    } catch {
      executor.reply.error(error.description)
      return .done
    }
    let link = LinkID(session.id)
    session.isSlaveLink = true
    let pending = PendingReply()
    let own = worker(of: executor)
    adminPool.submit { [self] _ in
      let result = replication.register(link, request)
      // It may have left before it was registered. Asked before the reply is out: then it is no relay yet.
      own.eventLoop.execute { [self] in
        if own.clients[link.value] == nil { slaveLeft(link) }
      }
      pending.fulfil { executor in
        switch result {
        case .success(let reply):
          executor.reply.array(reply.elements.count)
          for element in reply.elements { executor.reply.bulk(element) }
        case .failure(let error): executor.reply.error(error.description)
        }
      }
      stateChanged()
    }
    return suspended(pending, executor)
  }

  /// A slave's connection closed before it became a stream: its pin has a lease from now on.
  func slaveLeft(_ link: LinkID) {
    adminPool.submit { [self] _ in replication.linkClosed(link) }
  }

  /// Plans, answers the plan and turns the connection into a stream of frames.
  private func syncSlave(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    guard !executor.inTransaction, let worker = workers.first(where: { $0.executor === executor }),
      let client = worker.clients[session.id]
    else {
      executor.reply.error("ERR MS_SYNC_SLAVE cannot be used here")
      return .done
    }
    let request: SyncRequest
    do throws(ReplicationError) {
      request = try SyncRequest(parsing: texts(arguments))
    } catch {
      executor.reply.error(error.description)
      return .done
    }
    let link = LinkID(session.id)
    let handler = NIOLoopBound(client, eventLoop: worker.eventLoop)
    adminPool.submit { [self] _ in
      let outcome = prepareSync(link, request)
      worker.eventLoop.execute { [self] in
        switch outcome {
        case .failure(let error): handler.value.answerSuspended(error.description)
        case .success(let planned): begin(planned, link, handler.value)
        }
      }
    }
    return .suspended(.reply(PendingReply()))
  }

  private func prepareSync(_ link: LinkID, _ request: SyncRequest) -> Result<
    ReplicationService.Planned, ReplicationError
  > {
    let planned: ReplicationService.Planned
    do {
      planned = try replication.plan(request)
    } catch {
      return .failure(ReplicationError(.storeFailed, "\(error)"))
    }
    if let refusal = replication.adopt(link, planned) { return .failure(refusal) }
    guard planned.report.reply != nil else {
      return .failure(ReplicationError(.syncImpossible, planned.report.reason))
    }
    return .success(planned)
  }

  private func begin(_ planned: ReplicationService.Planned, _ link: LinkID, _ client: ClientHandler) {
    let connection = ChannelConnection(client.channel)
    guard let reply = planned.report.reply, client.channel.isActive,
      let runner = replication.startRelay(link, planned, connection: connection)
    else { return client.answerSuspended("NOTREGISTERED register with MS_REGISTER_SLAVE on this connection first") }
    var answer = ReplyBuffer(capacity: 1024)
    answer.array(reply.elements.count)
    for element in reply.elements { answer.bulk(element) }
    var bytes = client.channel.allocator.buffer(capacity: answer.count)
    bytes.writeBytes(answer.bytes)
    client.handOver(
      answer: bytes,
      to: ConnectionHandler(RelayInput(runner: runner, service: replication), connection: connection))
  }

  // MARK: MS_PLAN, MS_SLAVES

  /// For every slave (or the one named): what a sync would cost now, and what was chosen last. On a slave: its own last
  /// plan.
  private func plan(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if arguments.count > 2 { throw .wrongArgumentCount(.msPlan) }
    let wanted = arguments.count == 2 ? text(arguments[1]) : nil
    let pending = PendingReply()
    adminPool.submit { [self] _ in
      let lines = planLines(wanted)
      pending.fulfil { executor in
        guard let lines else { return executor.reply.error("ERR no such slave") }
        executor.reply.array(lines.count)
        for line in lines { executor.reply.bulk(line) }
      }
      stateChanged()
    }
    return suspended(pending, executor)
  }

  /// nil if the slave that is wanted is not there.
  private func planLines(_ wanted: String?) -> [String]? {
    var lines: [String] = []
    for slave in replication.slaves
    where wanted == nil || slave.id.description.hasPrefix(wanted ?? "") || "\(slave.address)" == wanted {
      lines.append("slave \(slave.id) at \(slave.address)")
      if let last = slave.plan {
        lines.append("  last: \(last.summary)")
        lines.append(contentsOf: last.lines.map { "    \($0)" })
      }
      if let sync = slave.lastSync { lines.append("  last sync: \(sync.line)") }
      do {
        let now = try replication.plan(request(for: slave)).report
        lines.append("  now: \(now.summary)")
        lines.append(contentsOf: now.lines.map { "    \($0)" })
      } catch {
        lines.append("  now: cannot be planned, \(error)")
      }
    }
    if wanted != nil { return lines.isEmpty ? nil : lines }
    if case .slave(let master) = role {
      let view = replication.upstream.view
      lines.append("this node follows \(master)")
      lines.append("  last: \(view.lastPlan.isEmpty ? "none yet" : view.lastPlan) \(view.lastReason)")
      if let sync = view.lastSync { lines.append("  last sync: \(sync.line)") }
    }
    if lines.isEmpty { lines.append("no slave is registered") }
    return lines
  }

  /// As if the slave asked now, from the position it acknowledged last.
  private func request(for slave: Slave) -> SyncRequest {
    let store = self.store
    store.writeLock.lock()
    let terms = store.terms
    store.writeLock.unlock()
    let lsn = slave.ack.durableLSN
    let position = lsn == .none ? Position.none : terms.position(at: lsn)
    let history = terms.upTo(lsn)
    return SyncRequest(id: slave.id, position: position, history: history, lineage: directory.lineage)
  }

  /// One array a slave: id, address, state, durable LSN, applied LSN, lag in records, bytes and milliseconds; of its last
  /// sync the plan, the estimated bytes, the bytes, the milliseconds.
  private func slaves(_ executor: Executor) {
    if case .slave = role, let list = replication.upstream.view.slaves {
      let voters = votersInLog
      executor.reply.array(list.slaves.count)
      for slave in list.slaves {
        executor.reply.array(6)
        executor.reply.bulk(slave.id.description)
        executor.reply.bulk(slave.address.description)
        executor.reply.bulk("\(slave.state)")
        executor.reply.integer(Int64(slave.durableLSN.value))
        executor.reply.integer(Int64(slave.appliedLSN.value))
        executor.reply.bulk(voters.contains(slave.id) ? "voter" : "learner")
      }
      return
    }
    let slaves = replication.slaves
    executor.reply.array(slaves.count)
    for slave in slaves {
      let lag = lag(of: slave)
      executor.reply.array(13)
      executor.reply.bulk(slave.id.description)
      executor.reply.bulk(slave.address.description)
      executor.reply.bulk("\(slave.state.listState)")
      executor.reply.integer(Int64(slave.ack.durableLSN.value))
      executor.reply.integer(Int64(slave.ack.appliedLSN.value))
      executor.reply.integer(Int64(clamping: lag.records))
      executor.reply.integer(Int64(clamping: lag.bytes))
      executor.reply.integer(lag.milliseconds.map { Int64(clamping: $0) } ?? -1)
      executor.reply.bulk(slave.lastSync?.mode.name ?? "none")
      executor.reply.integer(Int64(clamping: slave.lastSync?.estimatedBytes ?? 0))
      executor.reply.integer(Int64(clamping: slave.lastSync?.bytes ?? 0))
      executor.reply.integer(Int64((slave.lastSync?.seconds ?? 0) * 1000))
      executor.reply.bulk(node.commitment.voters.ids.contains(slave.id) ? "voter" : "learner")
    }
  }
}
