// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

/// The commands of the server itself that nodes send each other.
extension NodeProcess: ServerServices {
  package var password: [UInt8]? { nil }
  package var redisVersion: String { "7.0.15" }
  package var roleName: String { core.isMaster ? "master" : "replica" }
  package func readOnlyError() -> String { "READONLY You can't write against a read only replica." }
  package func feedMonitors(_ line: String) {}
  package var level: RecordLevel { configuration.commit.level }
  package var fullsyncSlaves: Int { configuration.commit.slaves }

  package func serve(
    _ command: Command, _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    switch command {
    case .msRegisterSlave: return register(arguments, executor, session)
    case .msSyncSlave: return sync(arguments, executor, session)
    case .msVote:
      let request: VoteRequest
      do throws(ReplicationError) { request = try VoteRequest(parsing: texts(arguments)) } catch {
        executor.reply.error(error.description)
        return .done
      }
      return suspended { done in core.succession.vote(request) { done(.success($0.elements)) } }
    case .msState: return suspended { done in core.succession.state { done(.success($0.elements)) } }
    case .msNewMaster:
      let news: NewMaster
      do throws(ReplicationError) { news = try NewMaster(parsing: texts(arguments)) } catch {
        executor.reply.error(error.description)
        return .done
      }
      return suspended { done in core.succession.newMaster(news) { done($0.map(Result.failure) ?? .success([])) } }
    // A former master asks the one that holds more than it.
    case .promote:
      return suspended { done in
        core.succession.promote(force: false) { failure in
          done(failure.map { .failure(ReplicationError(.peerRefused, $0)) } ?? .success([]))
        }
      }
    default: throw .text("ERR not in a simulation")
    }
  }

  package func leaseDeadline(now: Tick) -> Tick? { core.leaseDeadline(now: now) }
  package func holdsBack(writes: Bool, now: Tick) -> Bool { writes && pausesWrites }

  /// Answers when `work` is done: with elements, or OK for none.
  private func suspended(
    _ work: (@escaping @Sendable (Result<[String], ReplicationError>) -> Void) -> Void
  ) -> Outcome {
    let pending = PendingReply()
    work { [self] result in
      pending.fulfil { executor in
        switch result {
        case .success(let elements) where elements.isEmpty: executor.reply.ok()
        case .success(let elements):
          executor.reply.array(elements.count)
          for element in elements { executor.reply.bulk(element) }
        case .failure(let error): executor.reply.error(error.description)
        }
      }
      stateChanged()
    }
    return .suspended(.reply(pending))
  }

  private func texts(_ arguments: borrowing ArgumentList) -> [String] {
    var out: [String] = []
    for i in 1..<max(1, arguments.count) { out.append(String(decoding: arguments[i], as: UTF8.self)) }
    return out
  }

  private func register(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    let request: RegisterRequest
    do throws(ReplicationError) { request = try RegisterRequest(parsing: texts(arguments)) } catch {
      executor.reply.error(error.description)
      return .done
    }
    let link = LinkID(session.id)
    session.isSlaveLink = true
    let pending = PendingReply()
    admin.run { [self] in
      let result = core.replication.register(link, request)
      if client(link.value) == nil { slaveLeft(link) }
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
    return .suspended(.reply(pending))
  }

  private func sync(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    guard let client = client(session.id), let worker = workers.first(where: { $0.executor === executor }) else {
      executor.reply.error("ERR MS_SYNC_SLAVE cannot be used here")
      return .done
    }
    let request: SyncRequest
    do throws(ReplicationError) { request = try SyncRequest(parsing: texts(arguments)) } catch {
      executor.reply.error(error.description)
      return .done
    }
    let link = LinkID(session.id)
    admin.run { [self] in
      let outcome = prepare(link, request)
      worker.loop.run { [self] in
        switch outcome {
        case .failure(let error): client.answerSuspended(error.description)
        case .success(let planned): begin(planned, link, client)
        }
      }
    }
    return .suspended(.reply(PendingReply()))
  }

  private func prepare(_ link: LinkID, _ request: SyncRequest) -> Result<ReplicationService.Planned, ReplicationError> {
    let planned: ReplicationService.Planned
    do { planned = try core.replication.plan(request) } catch {
      return .failure(ReplicationError(.storeFailed, "\(error)"))
    }
    if planned.report.mode == .full { site.plannedFully(planned, for: request.id) }
    if let refusal = core.replication.adopt(link, planned) { return .failure(refusal) }
    guard planned.report.reply != nil else {
      return .failure(ReplicationError(.syncImpossible, planned.report.reason))
    }
    return .success(planned)
  }

  private func begin(_ planned: ReplicationService.Planned, _ link: LinkID, _ client: ClientConnection) {
    guard let reply = planned.report.reply, client.isOpen,
      let runner = core.replication.startRelay(link, planned, connection: client.connection)
    else { return client.answerSuspended("NOTREGISTERED register with MS_REGISTER_SLAVE on this connection first") }
    site.planned(planned.report)
    var answer = ReplyBuffer(capacity: 1024)
    answer.array(reply.elements.count)
    for element in reply.elements { answer.bulk(element) }
    client.handOver(answer: Array(answer.bytes), to: RelayInput(runner: runner, service: core.replication))
  }
}
