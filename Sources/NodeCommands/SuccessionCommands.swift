// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

// Who is master: FAILOVER, PROMOTE, the voters, and what nodes ask each other.
extension RowCommands {
  /// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
  func failOver(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    var target: NodeAddress?
    var timeout: UInt64?
    var isForced = false
    var aborts = false
    var i = 1
    while i < arguments.count {
      if equalsIgnoringCase(arguments[i], "to"), i + 2 < arguments.count {
        guard let port = parseInteger(arguments[i + 2]), port > 0, port < 65_536,
          let address = NodeAddress(host: text(arguments[i + 1]), port: Int(port))
        else { throw .text("ERR Invalid master port") }
        target = address
        i += 2
      } else if equalsIgnoringCase(arguments[i], "timeout"), i + 1 < arguments.count {
        guard let number = parseInteger(arguments[i + 1]) else { throw .notInteger }
        guard number > 0 else { throw .text("ERR FAILOVER timeout must be greater than 0") }
        timeout = UInt64(number)
        i += 1
      } else if equalsIgnoringCase(arguments[i], "force") {
        isForced = true
      } else if equalsIgnoringCase(arguments[i], "abort") {
        aborts = true
      } else {
        throw .syntax
      }
      i += 1
    }
    let pending = PendingReply()
    let done: @Sendable (String?) -> Void = { [self] failure in
      answer(pending) { executor in
        if let failure { executor.reply.error("ERR \(failure)") } else { executor.reply.ok() }
      }
    }
    if aborts {
      guard arguments.count == 2 else { throw .text("ERR FAILOVER ABORT takes no other argument.") }
      node.succession.abortFailOver(done: done)
      return suspended(pending, executor)
    }
    if isForced, target == nil || timeout == nil {
      throw .text("ERR FAILOVER with force option requires both a timeout and target HOST and IP.")
    }
    guard isMaster else { throw .text("ERR FAILOVER is not valid when server is a replica.") }
    node.succession.failOver(to: target, timeoutMilliseconds: timeout, force: isForced, done: done)
    return suspended(pending, executor)
  }

  /// PROMOTE [FORCE]
  package func promote(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard arguments.count == 1 || arguments.count == 2 && equalsIgnoringCase(arguments[1], "force") else {
      throw .syntax
    }
    let pending = PendingReply()
    node.succession.promote(force: arguments.count == 2) { [self] failure in
      answer(pending) { executor in
        if let failure { executor.reply.error("NOPROMOTE \(failure)") } else { executor.reply.ok() }
      }
    }
    return suspended(pending, executor)
  }

  /// MS_VOTER id [id ...] yes|no [FORCE]; ids may also be separated by commas.
  func changeVoter(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    let isForced = arguments.count > 3 && equalsIgnoringCase(arguments[arguments.count - 1], "force")
    let answerAt = arguments.count - (isForced ? 2 : 1)
    let adds = equalsIgnoringCase(arguments[answerAt], "yes")
    guard adds || equalsIgnoringCase(arguments[answerAt], "no"), answerAt > 1, !(adds && isForced) else {
      throw .syntax
    }
    var ids: [NodeID] = []
    for i in 1..<answerAt {
      for word in text(arguments[i]).split(separator: ",", maxSplits: 64) {
        guard let id = NodeID(hex: String(word)) else { throw .text("ERR a node id has 40 hexadecimal digits") }
        if !ids.contains(id) { ids.append(id) }
      }
    }
    guard !ids.isEmpty, ids.count <= 64 else { throw .syntax }
    guard !adds || ids.count == 1 else { throw .text("ERR voters are added one at a time") }
    guard isMaster else {
      if isForced {
        throw .text("ERR this node is no master: PROMOTE FORCE makes it one, and its only voter")
      }
      throw .readOnly
    }
    let pending = PendingReply()
    let wanted = ids
    host.runBlocking { [self] in
      let outcome = node.order(addsVoters: adds, wanted, isForced: isForced)
      answer(pending) { executor in
        switch outcome {
        case .done: executor.reply.ok()
        case .refused(let error): executor.reply.error("\(error)")
        }
      }
    }
    return suspended(pending, executor)
  }

  // MARK: Between nodes

  package func vote(_ arguments: borrowing ArgumentList, _ executor: Executor) -> Outcome {
    let request: VoteRequest
    do throws(ReplicationError) { request = try VoteRequest(parsing: texts(arguments)) } catch {
      executor.reply.error(error.description)
      return .done
    }
    let pending = PendingReply()
    node.succession.vote(request) { [self] reply in answer(pending, reply.elements) }
    return suspended(pending, executor)
  }

  package func state(_ executor: Executor) -> Outcome {
    let pending = PendingReply()
    node.succession.state { [self] state in answer(pending, state.elements) }
    return suspended(pending, executor)
  }

  package func newMaster(_ arguments: borrowing ArgumentList, _ executor: Executor) -> Outcome {
    let news: NewMaster
    do throws(ReplicationError) { news = try NewMaster(parsing: texts(arguments)) } catch {
      executor.reply.error(error.description)
      return .done
    }
    let pending = PendingReply()
    node.succession.newMaster(news) { [self] failure in
      answer(pending) { executor in
        if let failure { executor.reply.error(failure.description) } else { executor.reply.ok() }
      }
    }
    return suspended(pending, executor)
  }

  private func answer(_ pending: PendingReply, _ elements: [String]) {
    answer(pending) { executor in
      executor.reply.array(elements.count)
      for element in elements { executor.reply.bulk(element) }
    }
  }
}
