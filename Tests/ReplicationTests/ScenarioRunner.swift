import Core

@testable import Replication

/// The machines of one script, and its clock. What is not said has the values of the master and slave below: data set n9,
/// master n1 at 10.0.0.1:7401, terms 1 from LSN 1 and 2 from LSN 50, the node of the script n2.
final class ScenarioRunner {
  private var now = at(0)
  private var relay = Relay(now: at(0))
  private var applier = Applier()
  private var facts = LocalFacts(id: node(2), address: place(7402))
  private var commit = CommitTracker(ownID: node(1), termStart: LSN(1))
  private var watch = CommitWatch()
  private var promotion = Promotion()
  private var handover = Handover()
  private var policy = VoterPolicy()
  private var reigning = ReignScenario()
  private var voter = VoterState(id: node(3), lineage: node(9), knownTerm: Term(2), last: position(2, 100))
  private let masterHistory = terms((1, 1), (2, 50))

  func run(_ line: String) -> [String] {
    let command = ScenarioCommand(line)
    let verb = command.words.count > 1 ? command.words[1] : ""
    let lines: [String]? =
      switch command.words.first {
      case "at": setClock(verb)
      case "planner": runPlanner(command)
      case "relay": runRelay(command, verb)
      case "applier": runApplier(command, verb)
      case "commit": runCommit(command, verb)
      case "watch": runWatch(command, verb)
      case "promotion": runPromotion(command, verb)
      case "handover": runHandover(command, verb)
      case "voter": runVoter(command, verb)
      case "reign": reigning.run(command, verb, now: now)
      case _: nil
      }
    return (lines ?? ["no such command: \(line)"]).map(ScenarioText.short)
  }

  private func setClock(_ verb: String) -> [String] {
    now = Tick(milliseconds: UInt64(verb) ?? 0)
    return []
  }

  // MARK: planner

  private func runPlanner(_ command: ScenarioCommand) -> [String] {
    var input = PlannerTests.input()
    input.mode = RequestedSyncMode(rawValue: command.text("mode", "auto")) ?? .auto
    input.slavePosition = command.position("slave")
    input.slaveHistory = command.history("slave-terms", terms((1, 1), (2, 500)))
    input.slaveLineage = command.has("data-set") ? command.nodes("data-set").first : node(9)
    input.masterHistory = command.history("master-terms", terms((1, 1), (2, 500)))
    input.masterLast = command.lsn("master", 1000)
    input.logRawFrom = command.lsn("raw-from", 600)
    input.logBytesAfterCommon = command.number("log-bytes", 1_000_000)
    if command.has("file-bytes") {
      input.manifest = FileManifest(
        snapshot: SnapshotID(7),
        files: [
          .init(
            number: 1, kind: .segment, bytes: command.number("file-bytes", 0), firstLSN: LSN(1), lastLSN: LSN(900))
        ])
      input.logBytesAfterFiles = command.number("log-bytes-after-files", 1_000_000)
      input.expectedBytesPerSecond = command.number("write-bytes", 0)
    }
    input.isRewindNegotiated = command.has("rewind-floor")
    input.slaveRewindFloor = command.optionalLSN("rewind-floor")
    input.slaveAcceptsCut = command.flag("accepts-cut")
    if command.has("tombstones-from") {
      input.delta = .init(
        liveBytes: command.number("live-bytes", 1_000_000), liveRecords: 10,
        tombstonesFrom: command.lsn("tombstones-from"), indexBytes: command.number("index-bytes", 0))
    }
    return SyncPlanner.plan(input).lines
  }

  // MARK: relay

  private func runRelay(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    let event: RelayEvent
    switch verb {
    case "start":
      let begin = SyncBegin(
        mode: SyncMode(name: command.text("mode", "partial")) ?? .partial, startLSN: command.lsn("start"),
        barrierLSN: command.lsn("barrier"), lineage: node(9), history: masterHistory)
      relay = Relay(now: now)
      event = .start(RelayPlan(begin: begin))
    case "log":
      event = .logAdvanced(
        last: command.lsn("last"), committed: command.lsn("committed"), term: command.term("term", 2),
        masterClock: wall(now.milliseconds))
    case "read":
      event = .logRead(
        firstLSN: command.lsn("first"), lastLSN: command.lsn("last"), term: command.term("term", 2),
        bytes: Int(command.number("bytes", 100)))
    case "gone":
      event = .logGone(availableFrom: command.lsn("from"), ReplicationError(.pinLost, "the log was let go"))
    case "ack": event = .acked(Ack(durableLSN: command.lsn("durable"), appliedLSN: command.lsn("applied")))
    case "handover":
      let order = HandoverOrder(term: command.term("term", 3), masterID: node(1), lastLSN: command.lsn("lsn"))
      event = .broadcast(.handover, order.encoded(), at: .none)
    case "lost": event = .linkLost
    case "tick": event = .tick(masterClock: wall(now.milliseconds))
    case _: return nil
    }
    return relay.step(event, now: now).map(ScenarioText.line)
  }

  // MARK: applier

  private func runApplier(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    let event: ApplierEvent
    switch verb {
    case "attach": event = .attach(place(7401))
    case "detach": event = .detach
    case "connected", "rewound":
      facts.lineage = command.text("data-set") == "none" ? nil : node(9)
      facts.durableLSN = command.lsn("durable", facts.durableLSN.value)
      facts.appliedLSN = command.lsn("applied", facts.durableLSN.value)
      facts.history = command.history("terms", masterHistory)
      facts.knownReign = command.reign("known-term", facts.knownReign)
      facts.rewindFloor = command.optionalLSN("rewind-floor") ?? facts.rewindFloor
      facts.securedLSN = command.lsn("secured", facts.securedLSN.value)
      event = verb == "connected" ? .connected(facts) : .rewound(facts)
    case "registered":
      let master = command.reign("term", reign(2))
      let history = command.history("terms", masterHistory)
      event = .registerReply(
        RegisterReply(
          id: node(1), address: place(7401), reign: master, last: command.position("last", position(2, 100)),
          history: history, lineage: node(9), hasData: true, capabilities: .all))
    case "planned", "begin":
      let begin = SyncBegin(
        mode: SyncMode(name: command.text("mode", "partial")) ?? .partial, startLSN: command.lsn("start"),
        barrierLSN: command.lsn("barrier"), lineage: node(9), history: command.history("terms", masterHistory))
      event =
        verb == "begin"
        ? frame(.syncBegin, .syncBegin(begin), command)
        : .syncReply(
          SyncReply(
            mode: begin.mode, startLSN: begin.startLSN, barrierLSN: begin.barrierLSN,
            rewindTo: command.optionalLSN("rewind-to"), term: command.term("term", 2), reason: ""))
    case "log": event = frame(.log, .bulk, command)
    case "heartbeat": event = frame(.heartbeat, .empty, command)
    case "end":
      event = frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: command.lsn("barrier"))), command)
    case "handover":
      let order = HandoverOrder(
        term: command.term("new-term", 3), masterID: node(1), lastLSN: command.lsn("lsn"),
        isForced: command.flag("forced"))
      event = frame(.handover, .handover(order), command)
    case "durable": event = .durableAdvanced(command.lsn("lsn"))
    case "applied": event = .appliedAdvanced(command.lsn("lsn"))
    case "voted": event = .voted(Reign(term: command.term("term"), owner: .unknown))
    case "lost": event = .linkLost("connection reset")
    case "tick": event = .tick
    case _: return nil
    }
    return applier.step(event, now: now).map(ScenarioText.line) + ["(\(applier.stateName))"]
  }

  private func frame(_ type: FrameType, _ body: FrameBody, _ command: ScenarioCommand) -> ApplierEvent {
    .frame(
      FrameHeader(
        type: type, bodyBytes: 100, term: command.term("term", 2), firstLSN: command.lsn("first"),
        lastLSN: command.lsn("last"), committedLSN: command.lsn("committed"), masterClock: wall(now.milliseconds)), body
    )
  }

  // MARK: commit

  private func runCommit(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    switch verb {
    case "new":
      commit = CommitTracker(
        ownID: node(1), termStart: command.lsn("term-start", 1), fullsyncSlaves: Int(command.number("fullsync")),
        voters: VoterList(command.nodes("voters"), at: .none))
    case "disks":
      commit.update(ownDurable: command.lsn("own"), acks: command.acks("acks"))
      return ["\(commit.good)"]
    case "voters": commit.votersAppended(VoterList(command.nodes("ids"), at: command.lsn("lsn")))
    case "next":
      switch policy.next(voterRow(command)) {
      case .none: return ["no change"]
      case .waiting(let why): return ["wait: \(why)"]
      case .change(let ids, let why):
        return ["append voters " + ids.map(\.description).joined(separator: " ") + " (\(why))"]
      }
    case "remove":
      do {
        let order = try policy.remove(
          command.nodes("id"), isForced: command.flag("force"), voterRow(command))
        switch order {
        case .queued: return ["one after the other"]
        case .change(let ids, let isForced):
          return ["append voters " + ids.map(\.description).joined(separator: " ") + (isForced ? " by force" : "")]
        }
      } catch { return ["\(error)"] }
    case _: return nil
    }
    return []
  }

  /// The voters are here but for those that are away; candidates have shown what they hold.
  private func voterRow(_ command: ScenarioCommand) -> VoterRow {
    let (resigned, away) = (command.nodes("resigned"), command.nodes("away"))
    let ids = Set(commit.voters.ids + command.nodes("candidates") + resigned + away).subtracting([commit.ownID])
      .sorted()
    return VoterRow(
      ownID: commit.ownID, voters: commit.voters, mayChange: commit.mayChangeVoters, securedLSN: commit.good.quorum,
      lastLSN: commit.good.durable,
      nodes: ids.map { id in
        VoterFacts(
          id: id, address: place(7400 + Int(id.bytes[0])), isCounting: !away.contains(id),
          hasShownData: !away.contains(id),
          wantsToVote: !resigned.contains(id), heardAt: tickAt(away.contains(id) ? 0 : 60_000))
      }, now: tickAt(60_000))
  }

  private func runWatch(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    switch verb {
    case "new":
      var config = CommitWatchConfig()
      config.policy = CommitTimeoutPolicy(rawValue: command.text("policy", "availability")) ?? .availability
      config.timeoutMilliseconds = command.number("timeout", 1000)
      watch = CommitWatch(config: config)
      return []
    case "sees":
      let pending = command.optionalLSN("oldest").map {
        CommitObservation.Pending(oldestLSN: $0, since: tickAt(command.number("since")))
      }
      let seen = CommitObservation(
        durableLSN: command.lsn("durable"), heldLSN: command.lsn("held"), pending: pending,
        streamingSlaves: Int(command.number("streaming")), neededSlaves: Int(command.number("needed", 1)))
      return watch.step(.observed(seen), now: now).map(ScenarioText.line) + [watchState]
    case "tick": return watch.step(.tick, now: now).map(ScenarioText.line) + [watchState]
    case _: return nil
    }
  }
  private var watchState: String {
    let name =
      switch watch.state {
      case .normal: "normal"
      case .degraded(let goal, _): "degraded, goal \(goal)"
      case .restoring(let target, _): "restoring, target \(target)"
      }
    return "(good \(watch.goodLSN), \(name))"
  }

  // MARK: promotion

  private func runPromotion(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    let from = command.nodes("from").first ?? node(0)
    let event: PromotionEvent
    switch verb {
    case "start":
      let voters = command.nodes("voters")
      let level: CommitLevel =
        command.has("voters")
        ? .quorum(voters: voters)
        : command.has("fullsync") ? .fullsync(slaves: Int(command.number("fullsync"))) : .async
      let nodes = command.text("nodes").split(separator: ",").compactMap { ScenarioCommand.number($0) }.map {
        KnownNode(id: node($0), address: place(7400 + Int($0)), isVoter: true, isMaster: $0 == 1)
      }
      var facts = PromotionFacts(
        id: node(2), address: place(7402), lineage: node(9), last: command.position("last", position(2, 100)),
        knownTerm: command.term("known-term", 2), nodes: nodes, level: level, isForced: command.flag("force"))
      facts.handoverTerm = command.has("handover") ? command.term("handover") : nil
      event = .start(facts)
    case "state":
      event = .stateAnswered(
        from: from,
        NodeState(
          id: from, address: place(7400 + Int(command.number(ofNode: "from"))),
          role: NodeState.Role(rawValue: command.text("role", "slave")) ?? .slave, lineage: node(9),
          reign: command.reign("term", reign(2)), votedTerm: command.term("voted"),
          last: command.position("last", position(2, 100)),
          masterID: node(1), master: place(7401), isStreaming: command.flag("streaming"),
          heardMilliseconds: command.has("heard") ? command.number("heard") : nil))
    case "vote":
      event = .voteAnswered(
        from: from,
        VoteReply(
          id: from, isGranted: !command.has("denied"), term: command.term("term", 3), last: position(2, 100),
          committedLSN: .none, reason: command.text("denied").replacing("-", with: " ")))
    case "failed": event = .failed(from: from, command.text("why", "refused").replacing("-", with: " "))
    case "begun": event = .begun(firstLSN: command.lsn("lsn"))
    case "tick": event = .tick
    case _: return nil
    }
    return promotion.step(event, now: now).map(ScenarioText.line)
  }

  private func runVoter(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    guard verb == "asked" else { return nil }
    let answer = VoteRule.answer(
      VoteRequest(
        term: command.term("term"), candidate: command.nodes("by").first ?? node(2), address: place(7402),
        last: command.position("last"), lineage: node(9), isForced: command.flag("forced")), voter)
    if let vote = answer.voteToPersist {
      voter.vote = vote
      voter.knownTerm = vote.term
    }
    return ["\(answer.reply.isGranted ? "granted" : "denied"), term \(answer.reply.term): \(answer.reply.reason)"]
  }

  // MARK: handover

  private func runHandover(_ command: ScenarioCommand, _ verb: String) -> [String]? {
    let event: HandoverEvent
    switch verb {
    case "start":
      let candidates = command.acks("slaves").map { ack in
        HandoverCandidate(
          id: ack.id, address: place(7400 + Int(ack.id.bytes[0])), isVoter: true, isStreaming: true,
          durableLSN: ack.durableLSN)
      }
      event = .start(
        HandoverFacts(
          id: node(1), term: command.term("term", 2), candidates: candidates,
          target: command.has("to") ? place(7400 + Int(command.number(ofNode: "to"))) : nil,
          timeoutMilliseconds: command.has("timeout") ? command.number("timeout") : nil, isForced: command.flag("force")
        ))
    case "progress":
      event = .progress(
        targetDurable: command.lsn("target"), ownLast: command.lsn("last"), good: command.lsn("good"))
    case "lost": event = .targetLost("connection reset")
    case "new-master":
      let n = command.number(ofNode: "id")
      event = .newMaster(
        NewMaster(
          term: command.term("term"), id: node(n), address: place(7400 + Int(n)), lineage: node(9),
          firstLSN: command.lsn("first", 101)))
    case "state":
      let n = command.number(ofNode: "from")
      event = .stateAnswered(
        NodeState(
          id: node(n), address: place(7400 + Int(n)), role: NodeState.Role(rawValue: command.text("role")) ?? .slave,
          lineage: node(9), reign: command.reign("term", .none), last: position(2, 100)))
    case "failed": event = .askFailed("refused")
    case "reigns": event = .reigns
    case "reign-refused": event = .reignRefused("no majority")
    case "abort": event = .abort
    case "tick": event = .tick
    case _: return nil
    }
    return handover.step(event, now: now).map(ScenarioText.line)
  }
}

private func tickAt(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }
