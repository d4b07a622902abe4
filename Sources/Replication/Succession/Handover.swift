import Core

/// The master's machine behind FAILOVER [TO host port] [TIMEOUT ms] [FORCE] and FAILOVER ABORT. Owned by the node's control
/// thread; one at a time.
///
/// Writes pause, the target gets the rest of the log, then the order to take over in the next term. Until the order is out,
/// everything can go back as it was. From then on the target may be master at any moment, so this node takes no writes
/// in its old term any more: it follows the target, or it begins a reign above the target's term.
///
/// Until the machine is done, the shell leaves this node's role as it is, also when it gives the target its vote.
///
/// Invariant: after `sendHandover` writes are held back until this node reigns in a newer term, or follows.
package struct Handover: Sendable {
  package let config: HandoverConfig
  package private(set) var state = HandoverState.idle
  private var facts: HandoverFacts?
  private var targetDurable = LSN.none
  /// The next term to reclaim the reign in; each is tried once, because this node voted in it.
  private var nextReign = Term.none

  package init(config: HandoverConfig = HandoverConfig()) { self.config = config }

  package var isUnderWay: Bool {
    switch state {
    case .waiting, .sent, .asking, .reclaiming: true
    case .idle, .followed, .aborted: false
    }
  }

  /// The order is out and was not followed so far: this node is nobody's master, and asks to be one again.
  package var seeksReign: Bool {
    switch state {
    case .asking, .reclaiming: true
    case .idle, .waiting, .sent, .followed, .aborted: false
    }
  }

  package mutating func step(_ event: HandoverEvent, now: Tick) -> [HandoverAction] {
    switch event {
    case .start(let facts): return start(facts, now)
    case .progress(let durable, let ownLast, let good): return progress(durable, ownLast, good, now)
    case .targetLost(let why): return targetLost(singleLine(why), now)
    case .targetYields: return targetYields()
    case .newMaster(let news): return newMaster(news)
    case .stateAnswered(let answer): return answered(answer, now)
    case .askFailed: return tick(now)
    case .reigns:
      guard case .reclaiming(let target, _, let reign) = state else { return [] }
      let text = "the target \(target.address) did not become master; this node is, in term \(reign)"
      state = .aborted(text)
      return [.resumeWrites, .finished(text)]
    case .reignRefused:
      // Others know better: the target may have won and be found now.
      guard case .reclaiming(let target, let ordered, _) = state else { return [] }
      return ask(target, ordered, now)
    case .abort: return abort(now)
    case .tick: return tick(now)
    }
  }

  // MARK: before the order

  private mutating func start(_ facts: HandoverFacts, _ now: Tick) -> [HandoverAction] {
    guard !isUnderWay else { return [.finished("a handover is under way already: FAILOVER ABORT ends it")] }
    guard facts.isMaster else { return [.finished("this node is not the master")] }
    let target: HandoverCandidate
    switch Self.choose(facts) {
    case .success(let found): target = found
    case .failure(let why): return [.finished(why.text)]
    }
    self.facts = facts
    targetDurable = target.durableLSN
    let milliseconds = facts.timeoutMilliseconds ?? config.timeoutMillisecondsDefault
    state = .waiting(
      HandoverTarget(id: target.id, address: target.address), until: now.advanced(by: milliseconds))
    return [.pauseWrites]
  }

  private struct Why: Error { let text: String }

  private static func choose(_ facts: HandoverFacts) -> Result<HandoverCandidate, Why> {
    if let address = facts.target {
      guard let named = facts.candidates.first(where: { $0.address == address }) else {
        return .failure(Why(text: "\(address) is no slave of this node"))
      }
      guard named.isStreaming else { return .failure(Why(text: "\(address) does not follow the stream yet")) }
      guard named.isVoter || !facts.needsVoter else {
        return .failure(
          Why(
            text: "\(address) is no voter of this row, and where a quorum commits nobody else gets votes: MS_VOTER "
              + "\(named.id) yes makes it one"))
      }
      return .success(named)
    }
    let streaming = facts.candidates.filter(\.isStreaming)
    let voters = streaming.filter(\.isVoter)
    // The one with the highest ack; of equals the first by id, so that the choice can be told in advance.
    let best = (voters.isEmpty && !facts.needsVoter ? streaming : voters).max {
      ($0.durableLSN, $1.id) < ($1.durableLSN, $0.id)
    }
    guard let best else {
      guard streaming.isEmpty else { return .failure(Why(text: "no slave that follows the stream is a voter")) }
      guard !facts.diverged.isEmpty else { return .failure(Why(text: "no slave follows the stream")) }
      let names = facts.diverged.map(\.description).joined(separator: ", ")
      return .failure(
        Why(
          text:
            "no slave follows the stream: \(names) holds committed records that this node does not; PROMOTE there makes it "
            + "the master, REPLICAOF given there gives them up"))
    }
    return .success(best)
  }

  private mutating func progress(_ durable: LSN, _ ownLast: LSN, _ good: LSN, _ now: Tick) -> [HandoverAction] {
    guard case .waiting(let target, _) = state, let facts else { return tick(now) }
    targetDurable = max(targetDurable, durable)
    guard targetDurable >= ownLast, good >= ownLast else { return tick(now) }
    return send(target, HandoverOrder(term: facts.term.advanced(), masterID: facts.id, lastLSN: ownLast), now)
  }

  private mutating func send(_ target: HandoverTarget, _ order: HandoverOrder, _ now: Tick) -> [HandoverAction] {
    // The term after the target's is needed, too, should it fail.
    guard order.term.value > 1, order.term < Term.limit else { return giveUp("no term is left after \(order.term)") }
    nextReign = order.term.advanced()
    state = .sent(target, order.term, until: now.advanced(by: config.takeOverMillisecondsMax))
    return [.sendHandover(target, order)]
  }

  private mutating func giveUp(_ why: String) -> [HandoverAction] {
    state = .aborted(why)
    return [.resumeWrites, .finished(why)]
  }

  // MARK: what ends it

  private mutating func targetLost(_ why: String, _ now: Tick) -> [HandoverAction] {
    switch state {
    case .waiting(let target, _): return giveUp("the target \(target.address) was lost: \(why)")
    case .sent(let target, let term, _): return ask(target, term, now)
    case .asking, .reclaiming, .idle, .followed, .aborted: return []
    }
  }

  private mutating func targetYields() -> [HandoverAction] {
    switch state {
    case .sent(let target, let term, _), .asking(let target, let term, _, _): return reclaim(target, term)
    case .waiting, .reclaiming, .idle, .followed, .aborted: return []
    }
  }

  private mutating func abort(_ now: Tick) -> [HandoverAction] {
    switch state {
    case .waiting: return giveUp("the handover was aborted")
    case .sent(let target, let term, _): return ask(target, term, now)
    case .asking, .reclaiming: return []
    case .idle, .followed, .aborted: return [.finished("no handover is under way")]
    }
  }

  /// Of any node with a newer term: it need not be the target that won.
  private mutating func newMaster(_ news: NewMaster) -> [HandoverAction] {
    guard let facts, news.id != facts.id, news.reign > Reign(term: facts.term, owner: facts.id) else { return [] }
    switch state {
    case .reclaiming(_, _, let reign) where news.term <= reign: return []
    case .waiting, .sent, .asking, .reclaiming:
      return follow(HandoverTarget(id: news.id, address: news.address), news.term)
    case .idle, .followed, .aborted: return []
    }
  }

  private mutating func follow(_ target: HandoverTarget, _ term: Term) -> [HandoverAction] {
    state = .followed(target, term)
    return [.follow(target.address, term), .resumeWrites, .finished(nil)]
  }

  private mutating func tick(_ now: Tick) -> [HandoverAction] {
    switch state {
    case .idle, .followed, .aborted, .reclaiming: return []
    case .waiting(let target, let until):
      guard now >= until, let facts else { return [] }
      guard facts.isForced else {
        return giveUp("the target \(target.address) did not get all of the log in time, it has LSN \(targetDurable)")
      }
      return send(
        target,
        HandoverOrder(
          term: facts.term.advanced(), masterID: facts.id, lastLSN: targetDurable, isForced: true), now)
    case .sent(let target, let term, let until):
      return now >= until ? ask(target, term, now) : []
    case .asking(let target, let term, let again, let until):
      if now >= until { return reclaim(target, term) }
      guard now >= again else { return [] }
      state = .asking(target, term, again: now.advanced(by: config.askAgainMilliseconds), until: until)
      return [.ask(target)]
    }
  }

  // MARK: after the order

  private mutating func ask(_ target: HandoverTarget, _ term: Term, _ now: Tick) -> [HandoverAction] {
    state = .asking(
      target, term, again: now.advanced(by: config.askAgainMilliseconds),
      until: now.advanced(by: config.takeOverMillisecondsMax))
    return [.ask(target)]
  }

  private mutating func answered(_ answer: NodeState, _ now: Tick) -> [HandoverAction] {
    guard case .asking(let target, let term, _, _) = state, answer.id == target.id else { return [] }
    // A target that is not sure how it voted stands in none of those terms: the next order is for a later one.
    if answer.votedTerm > nextReign, nextReign.isNear(answer.votedTerm) { nextReign = answer.votedTerm.advanced() }
    if answer.term >= term {
      switch answer.role {
      case .master: return follow(target, answer.term)
      // It voted for itself and may be waiting for votes.
      case .slave, .detached: return tick(now)
      }
    }
    return reclaim(target, term)
  }

  private mutating func reclaim(_ target: HandoverTarget, _ ordered: Term) -> [HandoverAction] {
    let reign = nextReign
    nextReign = reign.advanced()
    state = .reclaiming(target, ordered: ordered, reign: reign)
    return [.beginReign(reign)]
  }
}
