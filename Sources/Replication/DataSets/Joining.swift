import Core

/// A start on an empty directory where the row is named by `--peers`: an empty directory cannot know whom it belonged to,
/// so the others are asked before any reign begins, again and again until it is clear what to do.
///
/// - The row has a master: it is followed. One with data comes first; where only empty ones answer, the first of the list.
/// - A node holds data and no master of it answers: this node waits. It never begins a reign beside that data.
/// - Two data sets: this node waits for a person.
/// - Nothing but empty nodes, and a majority of the list with this node: the first of the list begins, the others wait for it.
///
/// Owned by the loop of the link to the master.
package struct Joining: Sendable {
  package struct Facts: Hashable, Sendable {
    package var id: NodeID
    package var address: NodeAddress
    package var peers: [NodeAddress]
    /// The master that the start command or the last role names: followed at once if the others know no better.
    package var master: NodeAddress?
    package init(id: NodeID, address: NodeAddress, peers: [NodeAddress], master: NodeAddress? = nil) {
      self.id = id
      self.address = address
      self.peers = peers
      self.master = master
    }
  }
  package enum Event: Hashable, Sendable {
    case start
    case answered(from: NodeAddress, NodeState)
    case failed(from: NodeAddress, String)
    case tick
  }
  package enum Action: Hashable, Sendable {
    /// Answer with `answered` or `failed`.
    case ask(NodeAddress)
    case follow(NodeAddress)
    case begin
    /// What is waited for, for the log; `waiting` is the same at any time.
    case say(String)
  }
  private enum Answer: Hashable, Sendable {
    case own
    case state(NodeState)
    case failed(String)
  }

  package static let askMilliseconds: UInt64 = 1500
  package static let pauseMilliseconds: UInt64 = 300
  package static let sayMilliseconds: UInt64 = 5000
  /// Masters that are named by others than the list.
  private static let othersMax = 16

  package let facts: Facts
  /// What this node waits for.
  package private(set) var waiting = "for the first answers of its peers"
  private var answers: [NodeAddress: Answer] = [:]
  /// Masters of answering nodes that are not in the list.
  private var others: [NodeAddress] = []
  private var isAsking = false
  private var roundAt = Tick(milliseconds: 0)
  private var saidAt: Tick?
  private var isDone = false

  package init(_ facts: Facts) { self.facts = facts }

  package mutating func step(_ event: Event, now: Tick) -> [Action] {
    guard !isDone else { return [] }
    switch event {
    case .start: return ask(now)
    case .answered(let address, let state):
      guard isAsking, asked.contains(address) else { return [] }
      answers[address] = state.id == facts.id ? .own : .state(state)
    case .failed(let address, let why):
      guard isAsking, asked.contains(address) else { return [] }
      answers[address] = .failed(singleLine(why))
    case .tick:
      guard isAsking || now.since(roundAt) >= Self.pauseMilliseconds else { return [] }
      guard isAsking else { return ask(now) }
    }
    guard asked.allSatisfy({ answers[$0] != nil }) || now.since(roundAt) >= Self.askMilliseconds else { return [] }
    isAsking = false
    roundAt = now
    return decide(now)
  }

  private var asked: [NodeAddress] { facts.peers.filter { $0 != facts.address } + others }

  private mutating func ask(_ now: Tick) -> [Action] {
    isAsking = true
    roundAt = now
    answers = [:]
    guard !asked.isEmpty else {
      isAsking = false
      return decide(now)
    }
    return asked.map { .ask($0) }
  }

  // MARK: What the answers mean

  private var states: [NodeState] {
    asked.compactMap { if case .state(let state)? = answers[$0] { state } else { nil } }
  }

  private mutating func decide(_ now: Tick) -> [Action] {
    let states = states
    notice(states)
    let holders = states.filter { $0.hasData && $0.lineage != nil }
    let masters = states.filter { $0.role == .master && !$0.isJoining }
    let dataSets = holders.reduce(into: [NodeID]()) { known, state in
      if let lineage = state.lineage, !known.contains(lineage) { known.append(lineage) }
    }
    if dataSets.count > 1 {
      return wait(
        "its peers hold different data sets (\(holders.map(Self.held).joined(separator: ", "))): REPLICAOF here names "
          + "the one to follow", now)
    }
    if let dataSet = dataSets.first {
      if let master = masters.filter({ $0.lineage == dataSet }).max(by: { $0.reign < $1.reign }) {
        return finish(.follow(master.address))
      }
      if let master = facts.master { return finish(.follow(master)) }
      return wait(
        "no master answers of the data that its peers hold (\(holders.map(Self.held).joined(separator: ", "))): bring the "
          + "master up, or PROMOTE the node that holds most", now)
    }
    if let master = masters.first { return finish(.follow(master.address)) }
    if let master = facts.master { return finish(.follow(master)) }
    return begin(states, now)
  }

  /// Nobody that answers holds anything.
  private mutating func begin(_ states: [NodeState], _ now: Tick) -> [Action] {
    guard let own = facts.peers.firstIndex(where: { $0 == facts.address || answers[$0] == .own }) else {
      return wait(
        "this node, \(facts.address), is not in the list of --peers and begins nothing; --announce tells its address",
        now)
    }
    // A node that is in the list twice answers once.
    let others = facts.peers.compactMap { peer in
      if case .state(let state)? = answers[peer] { state.id } else { nil as NodeID? }
    }
    let empty = 1 + Set(others).count
    let majority = facts.peers.count / 2 + 1
    guard empty >= majority else {
      return wait(
        "\(empty) of its \(facts.peers.count) peers answer with this node, and all are empty; \(majority) must: "
          + "no answer of \(silent)", now)
    }
    // A node that follows this one knows that it began the row.
    if own == 0 || states.contains(where: { $0.masterID == facts.id }) { return finish(.begin) }
    let first = facts.peers[0]
    if case .state? = answers[first] { return wait("the first of the list, \(first), is about to begin", now) }
    return wait(
      "all that answer are empty, and the first of the list, \(first), which is to begin, does not answer", now)
  }

  /// Nodes outside the list of which the answers tell.
  private mutating func notice(_ states: [NodeState]) {
    for master in states.compactMap(\.master) {
      guard others.count < Self.othersMax, master != facts.address, !asked.contains(master) else { continue }
      others.append(master)
    }
  }

  private var silent: String {
    facts.peers.compactMap { peer in
      guard peer != facts.address else { return nil }
      switch answers[peer] {
      case .own?, .state?: return nil
      case .failed(let why)?: return "\(peer) (\(why))"
      case nil: return "\(peer)"
      }
    }.joined(separator: ", ")
  }

  private static func held(_ state: NodeState) -> String {
    "\(state.address) holds \(state.lineage?.description ?? "none") up to \(state.last)"
  }

  private mutating func finish(_ action: Action) -> [Action] {
    isDone = true
    return [action]
  }

  private mutating func wait(_ text: String, _ now: Tick) -> [Action] {
    waiting = text
    guard saidAt.map({ now.since($0) >= Self.sayMilliseconds }) ?? true else { return [] }
    saidAt = now
    return [.say(text)]
  }
}
