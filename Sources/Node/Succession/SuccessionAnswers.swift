import Core
import LogStore
import Logging
import Replication

// What other nodes ask and tell about who is master. On the loop of the link to the master.
extension Succession {
  // MARK: MS_STATE

  package func state(_ done: @escaping @Sendable (NodeState) -> Void) {
    loop.execute { [self] in done(ownState) }
  }

  // MARK: MS_VOTE

  package func vote(_ request: VoteRequest, _ done: @escaping @Sendable (VoteReply) -> Void) {
    loop.execute { [self] in
      let asked = answer(request)
      guard asked.answer.voteToPersist != nil else { return decide(request, asked, done) }
      // Anybody can ask for a vote in anybody's name: the candidate itself is asked whether it stands.
      confirm(request) { [self] result in
        switch result {
        case .success(let confirmed): decide(confirmed, answer(confirmed), done)
        case .failure(let doubt):
          var reply = asked.answer.reply
          (reply.isGranted, reply.term, reply.reason) = (false, core.knownTerm, doubt.message)
          done(reply)
        }
      }
    }
  }

  private typealias Asked = (answer: VoteAnswer, voter: VoterState, own: NodeState)

  private func answer(_ request: VoteRequest) -> Asked {
    // Everything received so far counts: a voter must not promise with less than it holds.
    core.commitNow()
    let own = ownState
    let current = core.directory.current.vote
    var voter = VoterState(
      id: own.id, lineage: own.lineage, isVoter: own.isVoter,
      vote: current.candidate.map { Vote(term: current.term, candidate: $0) }, knownTerm: own.term, last: own.last,
      committedLSN: own.committedLSN)
    voter.unsureUpTo = core.directory.unsureUpTo
    // To its own master it owes nothing when that one asks: it does not reign then, and whoever else is to.
    let asksItself = core.replication.upstream.view.upstream == [request.candidate]
    if asksItself, request.isReturn, !own.isStreaming { core.releasePromise() }
    if !asksItself {
      voter.promiseMilliseconds = core.promiseLeft(now: host.monotonic)
    }
    if own.role == .master {
      // A log with a newer reign than this one is proof that this one is over.
      if request.last.reign <= core.reign, hearsMajority { voter.leadership = .isMaster }
    } else if own.isStreaming, let heard = own.heardMilliseconds,
      !core.replication.upstream.view.upstream.contains(request.candidate)
    {
      // From the candidate itself, or through it, no master is heard.
      voter.leadership = .follows(heardMillisecondsAgo: heard)
    }
    return (VoteRule.answer(request, voter), voter, own)
  }

  private func decide(_ request: VoteRequest, _ asked: Asked, _ done: @escaping @Sendable (VoteReply) -> Void) {
    var answer = asked.answer
    let (voter, own) = (asked.voter, asked.own)
    if let vote = answer.voteToPersist {
      if let failure = persist(vote) {
        answer.reply.isGranted = false
        answer.reply.reason = "the vote cannot be written: \(failure)"
      } else {
        logger.notice(
          "voted", metadata: ["replication.term": "\(vote.term)", "replication.candidate": "\(request.address)"])
        step(.voted(vote.term, for: request.address))
      }
    }
    if request.isReturn, !answer.reply.isGranted, voter.isVoter, voter.lineage == request.lineage,
      own.role != .master, voter.leadership == .none, own.last > request.last
    {
      step(.askedWithLess)
    }
    done(answer.reply)
  }

  // MARK: MS_NEW_MASTER

  package func newMaster(_ news: NewMaster, _ done: @escaping @Sendable (ReplicationError?) -> Void) {
    loop.execute { [self] in
      // An operator ordered it to leave this data set: news of it does not call it back.
      if let ordered = core.directory.current.dataSet.ordered, ordered != news.lineage {
        return done(ReplicationError(.otherDataSet, "this node was ordered to take data set \(ordered)"))
      }
      let masterID = core.isMaster ? core.directory.node : core.replication.upstream.view.upstream.first
      switch NewMasterRule.answer(
        news, ownID: core.directory.node, lineage: core.directory.lineage, knownReign: core.knownReign,
        masterID: masterID)
      {
      case .refuse(let error):
        done(error)
        if core.isMaster, news.lineage == core.directory.lineage, news.reign < core.reign {
          step(.olderMaster(KnownNode(id: news.id, address: news.address)))
        }
      case .known: done(nil)
      case .follow:
        verify(news) { [self] result in
          switch result {
          case .success(let address):
            believe(news, at: address)
            done(nil)
          case .failure(let error): done(error)
          }
        }
      }
    }
  }

  /// That node reigns. Asked again: this node may have voted or begun a reign meanwhile.
  func believe(_ news: NewMaster, at address: NodeAddress) {
    let masterID = core.isMaster ? core.directory.node : core.replication.upstream.view.upstream.first
    guard
      case .follow = NewMasterRule.answer(
        news, ownID: core.directory.node, lineage: core.directory.lineage, knownReign: core.knownReign,
        masterID: masterID)
    else { return }
    core.heard(of: news.reign)
    let known = NewMaster(
      term: news.term, id: news.id, address: address, lineage: news.lineage, firstLSN: news.firstLSN)
    step(.newMaster(known, at: address))
  }
}
