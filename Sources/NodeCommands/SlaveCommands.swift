// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

// MS_REGISTER_SLAVE and MS_SYNC_SLAVE: how a client's connection becomes a slave's stream.
extension RowCommands {
  func registerSlave(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
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
    let loop = host.loop(of: link, executor)
    host.runBlocking { [self] in
      let result = replication.register(link, request)
      // It may have left before it was registered. Asked before the reply is out: then it is no relay yet.
      loop { [self] client in if client == nil { slaveLeft(link) } }
      answer(pending) { executor in
        switch result {
        case .success(let reply):
          executor.reply.array(reply.elements.count)
          for element in reply.elements { executor.reply.bulk(element) }
        case .failure(let error): executor.reply.error(error.description)
        }
      }
    }
    return suspended(pending, executor)
  }

  /// A slave's connection closed before it became a stream: its pin has a lease from now on.
  package func slaveLeft(_ link: LinkID) {
    host.runBlocking { [replication] in replication.linkClosed(link) }
  }

  func syncSlave(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    guard !executor.inTransaction else {
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
    let loop = host.loop(of: link, executor)
    host.runBlocking { [self] in
      let outcome = prepareSync(link, request)
      loop { [self] client in
        guard let client else { return }
        switch outcome {
        case .failure(let error): client.answerSuspended(error.description)
        case .success(let planned): begin(planned, link, client)
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
    host.planned(planned, for: request.id)
    if let refusal = replication.adopt(link, planned) { return .failure(refusal) }
    guard planned.report.reply != nil else {
      return .failure(ReplicationError(.syncImpossible, planned.report.reason))
    }
    return .success(planned)
  }

  private func begin(_ planned: ReplicationService.Planned, _ link: LinkID, _ client: any StreamCandidate) {
    guard let reply = planned.report.reply, let connection = client.nodeConnection,
      let runner = replication.startRelay(link, planned, connection: connection)
    else { return client.answerSuspended("NOTREGISTERED register with MS_REGISTER_SLAVE on this connection first") }
    var answer = ReplyBuffer(capacity: 1024)
    answer.array(reply.elements.count)
    for element in reply.elements { answer.bulk(element) }
    client.handOver(
      answer: Array(answer.bytes), to: RelayInput(runner: runner, service: replication), over: connection)
  }
}
