import Core

/// The machine behind PROMOTE [FORCE], run by the slave that is to be master, and by the target of a handover.
/// Owned by the node's control thread; one at a time.
///
/// It asks the nodes that it knows what they hold, refuses if the cluster has a master, if another node holds more, or if
/// too few answered to be sure; then it takes a term above every one that it saw, votes for itself on disk, asks
/// the voters, begins its reign and tells everyone. FORCE skips the refusals, not the term and not the telling.
///
/// An automatic election can use the same machine: start it with `isForced` false when the master was not heard of for a
/// randomized time, and again after another such time when it refuses. The states that it asks for stand in for the
/// pre-vote (nobody's term rises while a master is alive or a better candidate is there); the waiting, the randomness
/// and a real pre-vote (`VoteRequest.isPreVote`) are not here.
package struct Promotion: Sendable {
  package let config: PromotionConfig
  package private(set) var state = PromotionState.idle
  package private(set) var facts: PromotionFacts?

  /// Nodes that others named. They are asked, too: one may be the master of a row of which this node knows a part only.
  private var found: [KnownNode] = []
  private var everyone: [KnownNode] { (facts?.nodes ?? []) + found }
  private var states: [NodeID: NodeState] = [:]
  private var failures: [NodeID: String] = [:]
  private var votes: [NodeID: VoteReply] = [:]
  /// Nodes at whose address another one answered.
  private var replaced: Set<NodeID> = []
  /// Those whose vote was asked for, in the order of `facts.nodes`.
  private var asked: [KnownNode] = []
  private var request: VoteRequest?
  /// Voters that keep a promise to the old master until then.
  private var again: [NodeID: Tick] = [:]
  private var rounds = 0

  package init(config: PromotionConfig = PromotionConfig()) { self.config = config }

  package mutating func step(_ event: PromotionEvent, now: Tick) -> [PromotionAction] {
    switch event {
    case .start(let facts): return start(facts, now)
    case .stateAnswered(let id, let answer):
      guard case .asking = state, everyone.contains(where: { $0.id == id }) else { return [] }
      guard answer.id == id else {
        // Where another node of this data set answers, the one that was there is not any more.
        let isOfRow = answer.id == facts?.id || facts?.nodes.contains { $0.id == answer.id } == true
        if isOfRow, answer.lineage == facts?.lineage { replaced.insert(id) }
        return step(.failed(from: id, "another node, \(answer.id), answers there"), now: now)
      }
      states[id] = answer
      failures[id] = nil
      let asks = meet(answer)
      return asks + proceed(now)
    case .voteAnswered(let id, let vote):
      guard case .voting = state, asked.contains(where: { $0.id == id }), vote.id == id else { return [] }
      votes[id] = vote
      failures[id] = nil
      if !vote.isGranted, vote.retryMilliseconds > 0, case .voting(let term, let until) = state {
        let next = now.advanced(by: vote.retryMilliseconds)
        again[id] = next
        state = .voting(term, until: max(until, next.advanced(by: config.askMillisecondsMax)))
      }
    case .failed(let id, let why):
      guard everyone.contains(where: { $0.id == id }) else { return [] }
      failures[id] = singleLine(why)
    case .begun(let firstLSN): return begun(firstLSN)
    case .termSeen(let term):
      guard let known = facts?.knownTerm else { return [] }
      facts?.knownTerm = max(known, term)
      if case .voting(let own, _) = state, term >= own { return refuse("this node voted in term \(term) meanwhile") }
    case .storeFailed(let why):
      switch state {
      case .voting, .beginning: return refuse("this node's store failed: \(singleLine(why))")
      case .idle, .asking, .promoted, .refused: return []
      }
    case .tick: break
    }
    return proceed(now)
  }

  // MARK: asking

  private mutating func start(_ facts: PromotionFacts, _ now: Tick) -> [PromotionAction] {
    switch state {
    case .idle, .promoted, .refused: break
    case .asking, .voting, .beginning: return []
    }
    self.facts = facts
    found = []
    states = [:]
    failures = [:]
    votes = [:]
    replaced = []
    asked = []
    again = [:]
    rounds = 0
    guard !facts.isMaster || facts.makesOnlyVoter else { return refuse("this node is the master already") }
    if let wanted = facts.refetchTo, !facts.isForced {
      return refuse(
        "this node lost records up to \(wanted) by damage and holds the log up to \(facts.last): PROMOTE a node that holds "
          + "more, or PROMOTE FORCE here")
    }
    if facts.unsureUpTo >= facts.handoverTerm ?? Term(.max), !facts.isForced {
      return refuse(
        "this node lost its vote and cannot be sure how it voted in terms up to \(facts.unsureUpTo): PROMOTE another node, or "
          + "PROMOTE FORCE here")
    }
    if let term = facts.handoverTerm {
      guard term > facts.knownTerm else {
        return refuse("term \(term) was handed over, this node knows of term \(facts.knownTerm)")
      }
      return vote(term, now)
    }
    state = .asking(until: now.advanced(by: config.askMillisecondsMax))
    return facts.nodes.map { .ask($0) } + proceed(now)
  }

  /// Nodes that this one did not know of.
  private mutating func meet(_ answer: NodeState) -> [PromotionAction] {
    guard let facts, answer.lineage == facts.lineage else { return [] }
    let known = Set(everyone.map(\.id))
    let new = answer.row.filter { $0.id != facts.id && !known.contains($0.id) }.prefix(config.foundMax - found.count)
    found += new
    return new.map { .ask($0) }
  }

  private mutating func proceed(_ now: Tick) -> [PromotionAction] {
    guard let facts else { return [] }
    switch state {
    case .idle, .beginning, .promoted, .refused: return []
    case .asking(let until):
      // A reason that no later answer can change is given at once.
      if !facts.isForced, let obstacle = standingObstacle(facts, isOver: now >= until) { return refuse(obstacle) }
      let isComplete = everyone.allSatisfy { states[$0.id] != nil || failures[$0.id] != nil }
      guard isComplete || now >= until else { return [] }
      if facts.makesOnlyVoter, let obstacle = majorityThere(facts) { return refuse(obstacle) }
      if !facts.isForced, let obstacle = missingAnswers(facts) { return refuse(obstacle) }
      guard facts.isForced || now >= facts.promisedUntil else { return [] }
      return vote(nextTerm(facts), now)
    case .voting(let term, let until):
      // It counts as silent until it has answered anew.
      let due = asked.filter { again[$0.id].map { now >= $0 } ?? false }
      for node in due { (again[node.id], votes[node.id]) = (nil, nil) }
      let repeated = request.map { request in due.map { PromotionAction.requestVote($0, request) } } ?? []
      return repeated + count(facts, term, isOver: now >= until, now)
    }
  }

  /// Of the same data set; another's terms and LSNs do not compare.
  private func answers(_ facts: PromotionFacts) -> [(node: KnownNode, state: NodeState)] {
    everyone.compactMap { node in
      guard let state = states[node.id], state.lineage == facts.lineage else { return nil }
      return (node, state)
    }
  }

  private func standingObstacle(_ facts: PromotionFacts, isOver: Bool) -> String? {
    // Of those that went another way by a mere start, nobody holds more of this log.
    let answers = answers(facts).filter { !isOfOtherBranch($0.node.id, facts) }
    if let (node, state) = answers.first(where: { $0.state.role == .master && $0.state.reign >= facts.last.reign }) {
      return "the master \(node.address) answers, in term \(state.term): use FAILOVER there, or PROMOTE FORCE here"
    }
    let alive = answers.first {
      $0.state.role == .slave && $0.state.isStreaming && $0.state.masterID != facts.id
        && ($0.state.heardMilliseconds ?? .max) <= config.aliveMillisecondsMax && $0.state.reign >= facts.last.reign
        && !isNoMaster($0.state.masterID, facts, isOver: isOver)
    }
    if let (node, state) = alive {
      let master = state.master.map { "\($0)" } ?? "the master"
      return
        "\(node.address) still hears \(master) (\(state.heardMilliseconds ?? 0) ms ago): this node has lost its link, "
        + "not the cluster its master; use FAILOVER there, or PROMOTE FORCE here"
    }
    let best = answers.max { $0.state.last < $1.state.last }
    if let (node, state) = best, state.last > facts.last, !facts.isReturn {
      if let wanted = state.refetchTo {
        return
          "\(node.address) held the log up to \(wanted), this node up to \(facts.last), and has lost its own by damage: "
          + "PROMOTE a node that holds more, or PROMOTE FORCE here"
      }
      return
        "\(node.address) holds more of the log, up to \(state.last), this node up to \(facts.last): PROMOTE that one"
    }
    return nil
  }

  private func isOfOtherBranch(_ id: NodeID, _ facts: PromotionFacts) -> Bool {
    guard let other = facts.dissentsFrom else { return false }
    return id == other || states[id]?.masterID == other && states[id]?.isStreaming == true
  }

  /// A node in the middle of a chain, or one that was a master: what it hears itself counts, not who hears it.
  /// While its answer may still come, it is waited for.
  private func isNoMaster(_ id: NodeID?, _ facts: PromotionFacts, isOver: Bool) -> Bool {
    guard let id, let node = everyone.first(where: { $0.id == id }) else { return false }
    if let answer = states[id] { return answer.role != .master }
    return !isOver && !node.isMaster && failures[id] == nil
  }

  /// Why what answered is too little to be sure that no acknowledged write is on other nodes only.
  private func missingAnswers(_ facts: PromotionFacts) -> String? {
    switch facts.level {
    case .async where facts.isReturn, .fullsync where facts.isReturn:
      let others = facts.nodes.filter { !replaced.contains($0.id) }
      return others.allSatisfy { isThere($0.id, facts) } ? nil : "no answer of \(missing(facts))"
    case .async: return nil
    case .fullsync(let slaves): return missingSlaves(slaves, facts)
    case .quorum(let voters):
      let list = VoterList(voters, at: .none)
      guard !list.ids.isEmpty else { return missingMaster(facts) }
      let answered = list.ids.count { $0 == facts.id || isThere($0, facts) }
      if !facts.areVotersNamed, answered < list.majority || !isOldMasterThere(facts) { return unnamedVoters(facts) }
      guard answered < list.majority else { return missingBesides(facts) }
      return
        "\(answered) of \(list.ids.count) voters answered, \(list.majority) are needed: \(missing(facts)); bring them "
        + "up, or PROMOTE FORCE: \(loss(facts))"
    }
  }

  /// FORCE is for a node whose fellow voters are lost. As long as a majority of them answers, nothing is.
  private func majorityThere(_ facts: PromotionFacts) -> String? {
    guard case .quorum(let voters) = facts.level else { return nil }
    let list = VoterList(voters, at: .none)
    let answered = list.ids.filter { $0 == facts.id || isThere($0, facts) }
    guard answered.count >= list.majority else { return nil }
    let why =
      "\(answered.count) of \(list.ids.count) voters answer, which is a majority, so nothing needs to be given up"
    return facts.isMaster
      ? "this node is the master already, and \(why)" : "\(why): PROMOTE without FORCE, or FAILOVER on the master"
  }

  /// What acknowledged records may be lost when the voters that do not answer are given up.
  private func loss(_ facts: PromotionFacts) -> String {
    guard case .quorum(let voters) = facts.level else { return "" }
    let silent = voters.filter { $0 != facts.id && !isThere($0, facts) }
    return
      "then this node is the only voter, and records after \(facts.last) can be lost although they were acknowledged, if they are "
      + "on voters only that do not answer: \(silent.map(\.description).joined(separator: ", "))"
  }

  private func missingSlaves(_ slaves: Int, _ facts: PromotionFacts) -> String? {
    guard let others = otherSlaves(facts)?.filter({ !replaced.contains($0.id) }) else {
      return "this node follows another slave, and which slaves the master of \(facts.last.reign) has is not known: "
        + "\(missing(facts)); bring the nodes above this one up, or PROMOTE FORCE"
    }
    let needed = max(1, others.count + 1 - max(0, slaves) + 1)
    let answered = 1 + others.count { isThere($0.id, facts) }
    guard answered < needed else { return nil }
    return "\(answered) of \(others.count + 1) slaves answered, \(needed) must be asked to find the one with every "
      + "fullsync:\(slaves) write: \(missing(facts)); bring them up, or PROMOTE FORCE"
  }

  /// The slaves that the master may have counted, without this node. A node that follows a slave knows of that one's row
  /// only: the slaves of the master are those that one of its slaves names.
  private func otherSlaves(_ facts: PromotionFacts) -> [KnownNode]? {
    let master = facts.last.reign.owner
    let knowsRow =
      facts.nodes.isEmpty || master == .unknown || master == facts.id || facts.upstream.count == 1
      || facts.nodes.contains { $0.id == master }
    // A node that was just started does not know any more who is master; the newest reign in its log tells.
    guard !knowsRow else { return facts.nodes.filter { !$0.isMaster && $0.id != master } }
    let told = answers(facts).first { $0.state.masterID == master && !$0.state.row.isEmpty }
    guard let told else { return nil }
    let row = [told.node.id] + told.state.row.map(\.id)
    return everyone.filter { node in
      node.id != master && (row.contains(node.id) || facts.nodes.contains { $0.id == node.id })
    }
  }

  /// What a majority of the voters may not hold: writes that other nodes than voters were asked for. A former master has all
  /// of its own.
  private func missingBesides(_ facts: PromotionFacts) -> String? {
    guard let slaves = facts.fullsyncSlaves, !facts.isReturn, facts.handoverTerm == nil else { return nil }
    return missingSlaves(slaves, facts)
  }

  /// Nothing is in this node's log, not even who began it: if there is a master, it may have acknowledged what it holds.
  private func missingMaster(_ facts: PromotionFacts) -> String? {
    let masters = facts.nodes.filter(\.isMaster)
    guard !facts.isReturn, facts.handoverTerm == nil, !masters.allSatisfy({ isThere($0.id, facts) }) else { return nil }
    return unnamedVoters(facts)
  }

  /// No voters are named in this node's log yet: as far as it knows, the disk of the master whose records it ends with
  /// alone was the quorum. That is the owner of the newest reign, and not whom this node follows, which may be a slave.
  private func isOldMasterThere(_ facts: PromotionFacts) -> Bool {
    let owner = facts.last.reign.owner
    return owner == facts.id || owner == .unknown || facts.handoverTerm != nil || isThere(owner, facts)
  }

  private func unnamedVoters(_ facts: PromotionFacts) -> String {
    "who votes is not in this node's log yet, and the old master, which may hold acknowledged writes alone, does not "
      + "answer: \(missing(facts)); bring it up, or PROMOTE FORCE"
  }

  private func isThere(_ id: NodeID, _ facts: PromotionFacts) -> Bool {
    failures[id] == nil && (states[id]?.lineage == facts.lineage || votes[id] != nil)
  }

  private func missing(_ facts: PromotionFacts) -> String {
    let missing = everyone.filter { !isThere($0.id, facts) }.map { node in
      let why =
        failures[node.id]
        ?? (states[node.id].map { $0.lineage == facts.lineage } == false ? "another data set" : "silent")
      return "\(node.address) (\(why))"
    }
    let owner = facts.last.reign.owner
    let isUnknown = !facts.areVotersNamed && owner != .unknown && owner != facts.id
    let unknown = isUnknown && !everyone.contains { $0.id == owner } ? ["\(owner) (its address is not known here)"] : []
    return missing.isEmpty && unknown.isEmpty ? "no other is known" : (unknown + missing).joined(separator: ", ")
  }

  private func highestTerm(_ facts: PromotionFacts) -> Term {
    var term = max(facts.knownTerm, facts.last.term, facts.isForced ? .none : facts.unsureUpTo)
    let claims =
      answers(facts).flatMap { [$0.state.term, $0.state.votedTerm] } + everyone.compactMap { votes[$0.id]?.term }
    // What nothing but an answer says must not use the terms up.
    for claim in claims where facts.knownTerm.isNear(claim) { term = max(term, claim) }
    return term
  }

  private func nextTerm(_ facts: PromotionFacts) -> Term {
    highestTerm(facts).advanced(by: facts.termsLeftOut).advanced()
  }

  // MARK: voting

  private mutating func vote(_ term: Term, _ now: Tick) -> [PromotionAction] {
    guard let facts else { return [] }
    guard term > facts.knownTerm, term.isWithinLimit else {
      return refuse("no term is left after \(facts.knownTerm): see --forget-terms-above")
    }
    let request = VoteRequest(
      term: term, candidate: facts.id, address: facts.address, last: facts.last, lineage: facts.lineage,
      isForced: facts.isForced || facts.handoverTerm != nil, isReturn: facts.isReturn,
      passesPromise: facts.isForced || facts.isOrdered)
    asked =
      switch facts.level {
      case .quorum(let voters) where !voters.isEmpty:
        everyone.filter { voters.contains($0.id) || !facts.areVotersNamed && $0.id == facts.last.reign.owner }
      case .async, .fullsync, .quorum: facts.nodes.filter { $0.isVoter && !isOfOtherBranch($0.id, facts) }
      }
    votes = [:]
    again = [:]
    self.request = request
    for node in asked { failures[node.id] = nil }
    state = .voting(term, until: now.advanced(by: config.askMillisecondsMax))
    return [.persistVote(Vote(term: term, candidate: facts.id))] + asked.map { .requestVote($0, request) }
      + count(facts, term, isOver: false, now)
  }

  private mutating func count(
    _ facts: PromotionFacts, _ term: Term, isOver: Bool, _ now: Tick
  ) -> [PromotionAction] {
    let isComplete = asked.allSatisfy { votes[$0.id] != nil || failures[$0.id] != nil } && again.isEmpty
    if let obstacle = voteObstacle(facts, term, isComplete: isComplete || isOver) {
      guard facts.isForced else { return obstacle.isFinal ? refuse(obstacle.text) : [] }
      guard isComplete || isOver else { return [] }
      // The one thing that FORCE does not pass over: in the term of a majority there is one master.
      let isTaken = asked.contains { votes[$0.id].map { !$0.isGranted && $0.term >= term } ?? false }
      rounds += isTaken ? 1 : 0
      guard rounds <= config.forcedRoundsMax else { return refuse("\(obstacle.text) (\(rounds) terms were taken)") }
      if isTaken { return vote(nextTerm(facts), now) }
    }
    state = .beginning(term)
    return (facts.makesOnlyVoter ? [.tellLoss(loss(facts))] : []) + [.becomeMaster(term)]
  }

  /// nil: nothing is in the way any more. `isFinal`: no later answer can change it.
  private func voteObstacle(
    _ facts: PromotionFacts, _ term: Term, isComplete: Bool
  ) -> (text: String, isFinal: Bool)? {
    let denial = asked.first { votes[$0.id]?.isGranted == false }
    let denialText = denial.map { node in
      "\(node.address) gives no vote for term \(term): \(votes[node.id]?.reason ?? "")"
    }
    switch facts.level {
    case .quorum(let voters) where !voters.isEmpty:
      let list = VoterList(voters, at: .none)
      let granted =
        list.ids.count { $0 == facts.id && facts.isVoter } + asked.count { votes[$0.id]?.isGranted == true }
      let owner = facts.last.reign.owner
      let needsOwner = !facts.areVotersNamed && asked.contains { $0.id == owner } && facts.handoverTerm == nil
      if granted >= list.majority, !needsOwner || votes[owner]?.isGranted == true {
        return missingBesides(facts).map { ($0, isComplete) }
      }
      let why = denialText ?? "no answer of \(missing(facts))"
      return (
        "\(granted) of \(list.ids.count) voters voted for this node in term \(term), \(list.majority) are needed: \(why); try "
          + "again, or PROMOTE FORCE", isComplete
      )
    case .async, .fullsync, .quorum:
      // Here a vote only keeps two promotions from the same term: any denial counts, a silence does not.
      if let denialText { return ("\(denialText); try again, or PROMOTE FORCE", true) }
      guard isComplete else { return ("votes are awaited", false) }
      if facts.isReturn, let silent = asked.first(where: { votes[$0.id] == nil }) {
        return ("no vote of \(silent.address)", true)
      }
      if facts.handoverTerm == nil, let obstacle = missingAnswers(facts) { return (obstacle, true) }
      return nil
    }
  }

  // MARK: the end

  private mutating func begun(_ firstLSN: LSN) -> [PromotionAction] {
    guard case .beginning(let term) = state, let facts else { return [] }
    state = .promoted(term)
    let news = NewMaster(
      term: term, id: facts.id, address: facts.address, lineage: facts.lineage, firstLSN: firstLSN)
    return [.announce(facts.nodes + found.filter { isOfRow($0.id, facts) }, news)]
  }

  /// Whoever follows the old master, or votes, is to hear of the new one; who follows another slave goes on doing so.
  private func isOfRow(_ id: NodeID, _ facts: PromotionFacts) -> Bool {
    let master = facts.last.reign.owner
    if id == master || facts.upstream.contains(id) || states[id]?.masterID == master { return true }
    if case .quorum(let voters) = facts.level { return voters.contains(id) }
    return false
  }

  private mutating func refuse(_ text: String) -> [PromotionAction] {
    state = .refused(text)
    return [.refuse(text)]
  }
}
