import Core
import LogStore
import Logging
import Replication

// What the succession says to other nodes, and what it writes down. On the loop of the link to the master.
extension Succession {
  static let callMilliseconds: UInt64 = 2000

  func call(
    _ arguments: [String], _ address: NodeAddress,
    _ done: @escaping (Result<PeerReply, ReplicationError>) -> Void
  ) {
    PeerCall.send(
      arguments, to: address, host: host, loop: loop, timeoutMilliseconds: Self.callMilliseconds, done: done)
  }

  func ask(_ address: NodeAddress, _ done: @escaping (Result<NodeState, ReplicationError>) -> Void) {
    call(["MS_STATE"] + NodeState.arguments, address) { result in
      do throws(ReplicationError) {
        done(.success(try NodeState(parsing: try Self.elements(result))))
      } catch {
        done(.failure(error))
      }
    }
  }

  func requestVote(
    of node: KnownNode, _ request: VoteRequest, _ done: @escaping (Result<VoteReply, ReplicationError>) -> Void
  ) {
    call(["MS_VOTE"] + request.arguments, node.address) { result in
      do throws(ReplicationError) {
        done(.success(try VoteReply(parsing: try Self.elements(result))))
      } catch {
        done(.failure(error))
      }
    }
  }

  private static func elements(
    _ result: Result<PeerReply, ReplicationError>
  ) throws(ReplicationError) -> [String] {
    guard case .elements(let elements) = try result.get() else {
      throw ReplicationError(.syntax, "an unexpected reply")
    }
    return elements
  }

  func tell(_ node: KnownNode, _ news: NewMaster) {
    call(["MS_NEW_MASTER"] + news.arguments, node.address) { [self] result in
      // A refusal is an answer, too: that node knows of a newer master, which will tell this one.
      if case .failure(let error) = result {
        // One that does not believe it yet is told again.
        let isDoubted = error.message.hasPrefix(ReplicationError.Code.unproven.rawValue)
        guard error.code == .peerRefused, !isDoubted else { return }
        logger.warning(
          "a node does not follow",
          metadata: ["replication.node": "\(node.address)", "replication.reason": "\(error.message)"])
      }
      step(.told(node.id))
    }
  }

  /// It stands under the conditions of a node that goes on by itself: with a majority or, where none is asked, with the votes
  /// of all nodes that it knows.
  func nudge(_ holder: NodeState) {
    let facts = readFacts()
    let request = VoteRequest(
      term: max(facts.knownTerm, holder.term, holder.votedTerm).advanced(), candidate: facts.id, address: facts.address,
      last: durablePosition, lineage: facts.lineage, isPreVote: true, isReturn: true)
    call(["MS_VOTE"] + request.arguments, holder.address) { _ in }
  }

  func askToReign(_ holder: NodeState) {
    logger.notice(
      "a node that holds more than this one is asked to be master",
      metadata: ["replication.node": "\(holder.address)", "replication.last": "\(holder.last)"])
    call(["PROMOTE"], holder.address) { [self] result in
      guard case .failure(let error) = result, error.code == .peerRefused else { return }
      logger.warning(
        "that node does not become master",
        metadata: ["replication.node": "\(holder.address)", "replication.reason": "\(error.message)"])
    }
  }

  /// A target of FAILOVER is found by its address, or by the node that answers there, however the address is written.
  func resolve(_ target: NodeAddress?, _ done: @escaping @Sendable (NodeAddress?) -> Void) {
    let slaves = core.replication.slaves
    guard let target, core.isMaster, !slaves.contains(where: { $0.address == target }) else { return done(target) }
    ask(target) { result in
      let answering = try? result.get().id
      done(slaves.first { $0.id == answering }?.address ?? target)
    }
  }

  // MARK: What is written down

  /// nil when it is on disk. A vote is not taken back, and of one term there is one.
  func persist(_ vote: Vote) -> String? {
    let current = core.directory.current.vote
    guard vote.term > current.term || (vote.term == current.term && vote.candidate == current.candidate) else {
      return "this node voted in term \(current.term) meanwhile"
    }
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.forgetVote.isPlanted { return nil }
    #endif
    do {
      try core.directory.write(vote: .init(term: vote.term, candidate: vote.candidate))
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// The term of a master that is followed. A far one is believed when this node has a record of it.
  func note(_ term: Term, of id: NodeID?) {
    guard term > core.directory.current.vote.term, core.knownTerm.isNear(term) else { return }
    if let failure = persist(Vote(term: term, candidate: id ?? core.directory.node)), id != nil {
      logger.error("the new term cannot be written down", metadata: ["error": "\(failure)"])
    }
  }

  /// Votes that were given after an older copy of the directory was made are not in it.
  func forgot(votesUpTo term: Term) {
    do { try core.directory.forgot(votesUpTo: term) } catch {
      logger.error("the vote cannot be written down", metadata: ["error": "\(error)"])
    }
  }

  /// A slave of this node knows of a newer reign than this node's master: that one is to hear of it, at the registration
  /// that follows. Until then this node could not pass on its log.
  func passOn(_ reign: Reign, yields: Bool) {
    do {
      // It may know the term itself, from a promotion that failed, and have followed on as before.
      if reign.term > core.knownTerm {
        try core.directory.write(vote: .init(term: reign.term, candidate: yields ? core.directory.node : nil))
      }
      core.heard(of: reign)
      core.replication.upstream.voted(reign)
    } catch {
      logger.error("the new term cannot be written down", metadata: ["error": "\(error)"])
    }
  }
}

extension AskFailure {
  /// A node may refuse (a password, a start that is not over); it does not fail to know MS_STATE, or to speak RESP.
  init(_ error: ReplicationError) {
    let isUnknown = error.message.lowercased().hasPrefix("err unknown command")
    let isNoNode = error.code == .syntax || error.code == .peerRefused && isUnknown
    self = isNoNode ? .noNode("it answers \(error.message)") : .silent(error.message)
  }
}
