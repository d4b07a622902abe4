// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

/// The commands about a row and its nodes: who is master, who follows whom, what one node asks of another, what a client waits
/// for. The server's clients and the simulator's reach the same functions.
///
/// One a node, made by its host. Called on any of the loops that serve clients; what may block goes to `CommandHost.runBlocking`.
package struct RowCommands: Sendable {
  unowned let host: any CommandHost
  unowned let node: NodeCore

  package init(_ node: NodeCore, host: any CommandHost) {
    self.host = host
    self.node = node
  }

  var store: LogStore { node.store }
  var replication: ReplicationService { node.replication }
  var role: Role { node.role }
  var isMaster: Bool { node.isMaster }
  var directory: DataDirectory { node.directory }
  func stateChanged() { host.stateChanged() }

  /// MS_FORWARD: from now on this connection is another node's.
  func forwards(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    do throws(ReplicationError) {
      session.forwardingNode = try ForwardOrder(parsing: texts(arguments)).node
      executor.reply.ok()
    } catch {
      executor.reply.error(error.description)
    }
  }

  func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

  func texts(_ arguments: borrowing ArgumentList) -> [String] {
    var out: [String] = []
    for i in 1..<max(1, arguments.count) { out.append(text(arguments[i])) }
    return out
  }

  // MARK: Answers that come later

  /// Commands that come here are never run inside a transaction's unit: they have the flag `waits`, or are refused when they
  /// are queued.
  func suspended(_ pending: PendingReply, _ executor: Executor) -> Outcome {
    precondition(!executor.inTransaction, "a command that waits is run inside a transaction")
    return .suspended(.reply(pending))
  }

  /// Sets the answer, and has the connections that wait look for theirs.
  func answer(_ pending: PendingReply, _ answer: @escaping PendingReply.Answer) {
    pending.fulfil(answer)
    stateChanged()
  }

  /// Answers with what `work` makes of it, off the clients' loops.
  func inBackground(_ executor: Executor, _ work: @escaping @Sendable () throws -> PendingReply.Answer) -> Outcome {
    let pending = PendingReply()
    host.runBlocking { [self] in
      do {
        answer(pending, try work())
      } catch {
        answer(pending) { $0.reply.error("ERR \(error)") }
      }
    }
    return .suspended(.reply(pending))
  }

  // MARK: REPLICAOF

  func replicaOf(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if equalsIgnoringCase(arguments[1], "no"), equalsIgnoringCase(arguments[2], "one") {
      let pending = PendingReply()
      node.becomeMaster { [self] failure in
        answer(pending) { executor in
          if let failure { executor.reply.error("ERR \(failure)") } else { executor.reply.ok() }
        }
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
    node.replicaOf(master) { [self] in answer(pending) { $0.reply.ok() } }
    return suspended(pending, executor)
  }
}
