import Core

// Messages between nodes about who is master. All are commands of a client's connection, key-value pairs as in
// MS_REGISTER_SLAVE; unknown keys are ignored, so that a newer node may add some.
//
// MS_VOTE 2 term <n> candidate <40 hex> addr <host> port <n> last <term:LSN@owner> lineage <40 hex> pre-vote <yes|no>
//         forced <yes|no> return <yes|no>
//   reply: 2 node-id <id> granted <yes|no> term <n> last <term:LSN@owner> committed <LSN> reason <one line>
//
// MS_STATE 2
//   reply: 2 node-id <id> addr <host> port <n> role <master|slave|detached> lineage <id|none> term <n> owner <id|none>
//          voted-term <n> last <term:LSN@owner> committed <LSN> applied <LSN> voter <yes|no> master-id <id|none> master <host/port|none>
//          streaming <yes|no> heard-ms <n|none> refetch <term:LSN@owner|none> standing <term; 0 = for none>
//          may-reign <yes|no> row <id@host/port/voter yes|no,...|none>
//
// MS_NEW_MASTER 2 term <n> node-id <id> addr <host> port <n> lineage <id> first <LSN of the term's first record>
//   reply: OK, or an error

/// A candidate asks for a vote.
package struct VoteRequest: Hashable, Sendable {
  package var term: Term
  package var candidate: NodeID
  package var address: NodeAddress
  /// The candidate's last record, durable.
  package var last: Position
  package var lineage: NodeID
  /// Only asks whether the vote would be given; nothing is written.
  package var isPreVote: Bool
  /// By an operator's command, or on behalf of the master itself: a master that is alive is no reason to deny.
  package var isForced: Bool
  /// Nobody's command: a former master goes on by itself. Who holds more of the log and hears no master is to stand.
  package var isReturn: Bool
  /// Whatever the voter promised its master: the master itself orders it, or an operator takes it upon himself.
  package var passesPromise: Bool

  package init(
    term: Term, candidate: NodeID, address: NodeAddress, last: Position, lineage: NodeID, isPreVote: Bool = false,
    isForced: Bool = false, isReturn: Bool = false, passesPromise: Bool = false
  ) {
    self.term = term
    self.candidate = candidate
    self.address = address
    self.last = last
    self.lineage = lineage
    self.isPreVote = isPreVote
    self.isForced = isForced
    self.isReturn = isReturn
    self.passesPromise = passesPromise
  }

  package init(parsing arguments: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: arguments)
    term = try pairs.term("term")
    candidate = try pairs.nodeID("candidate")
    address = try pairs.address(host: "addr", port: "port")
    last = try pairs.position("last")
    lineage = try pairs.nodeID("lineage")
    isPreVote = try pairs.flag("pre-vote")
    isForced = try pairs.flag("forced")
    isReturn = pairs.text("return") == KeyValueArguments.text(true)
    passesPromise = try pairs.flag("passes-promise")
  }

  package var arguments: [String] {
    [
      String(KeyValueArguments.protocolVersion), "term", term.description, "candidate", candidate.description, "addr",
      address.host, "port", String(address.port), "last", KeyValueArguments.text(last), "lineage", lineage.description,
      "pre-vote",
      KeyValueArguments.text(isPreVote), "forced", KeyValueArguments.text(isForced), "return",
      KeyValueArguments.text(isReturn), "passes-promise", KeyValueArguments.text(passesPromise),
    ]
  }
}

package struct VoteReply: Hashable, Sendable {
  package var id: NodeID
  package var isGranted: Bool
  /// The newest term that the voter knows, this vote included.
  package var term: Term
  package var last: Position
  package var committedLSN: LSN
  /// Why not; why, if it was granted.
  package var reason: String
  /// The voter's promise to its master ends then: ask again. 0: that would change nothing.
  package var retryMilliseconds: UInt64

  package init(
    id: NodeID, isGranted: Bool, term: Term, last: Position, committedLSN: LSN, reason: String,
    retryMilliseconds: UInt64 = 0
  ) {
    self.id = id
    self.isGranted = isGranted
    self.term = term
    self.last = last
    self.committedLSN = committedLSN
    self.reason = reason
    self.retryMilliseconds = retryMilliseconds
  }

  package init(parsing elements: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: elements)
    id = try pairs.nodeID("node-id")
    isGranted = try pairs.flag("granted")
    term = try pairs.term("term")
    last = try pairs.position("last")
    committedLSN = try pairs.lsn("committed")
    reason = singleLine(pairs.text("reason") ?? "", bytesMax: 512)
    retryMilliseconds = min(try pairs.optionalNumber("retry-ms") ?? 0, 60_000)
  }

  package var elements: [String] {
    [
      String(KeyValueArguments.protocolVersion), "node-id", id.description, "granted",
      KeyValueArguments.text(isGranted), "term", term.description, "last", KeyValueArguments.text(last), "committed",
      committedLSN.description, "retry-ms", String(retryMilliseconds), "reason", singleLine(reason, bytesMax: 512),
    ]
  }
}

/// What a node is and holds, as MS_STATE answers.
package struct NodeState: Hashable, Sendable {
  package enum Role: String, Hashable, Sendable, CaseIterable {
    case master, slave
    /// It was a master, or has not been told yet whom to follow.
    case detached
  }
  package var id: NodeID
  package var address: NodeAddress
  package var role: Role
  package var lineage: NodeID?
  /// The newest that it knows: of its log, its vote, or its reign. The owner of a term in which it only voted is unknown.
  package var reign: Reign
  package var term: Term { reign.term }
  package var votedTerm: Term
  /// Its last record, durable; not less than `refetchTo`.
  package var last: Position
  /// Its log reached this far before damage was cut out of it, and does not yet again: it may have acknowledged what it
  /// does not hold.
  package var refetchTo: Position?
  package var committedLSN: LSN
  package var appliedLSN: LSN
  package var isVoter: Bool
  package var masterID: NodeID?
  package var master: NodeAddress?
  /// It follows its master's stream right now.
  package var isStreaming: Bool
  /// Since it last heard of its master; nil: it never did, or is the master.
  package var heardMilliseconds: UInt64?
  /// The term in which it asks for votes now, 0 for none; nil from a node that does not say it.
  package var standsFor: Term?
  /// It holds more than beginnings of terms. An older node does not tell: then any record counts.
  package var hasData: Bool
  /// It was started without data and asks its peers whom to follow.
  package var isJoining = false
  /// No vote is lacking by its own log: it is one of the voters that its log names, or a master needs no votes there. An older
  /// node does not tell, which counts as yes.
  package var mayReign = true
  /// The other nodes that it knows: its master's row as it was told last, and its own slaves. Empty from an older node.
  package var row: [KnownNode] = []
  package static let rowMax = 256

  package init(
    id: NodeID, address: NodeAddress, role: Role, lineage: NodeID?, reign: Reign, votedTerm: Term = .none,
    last: Position, committedLSN: LSN = .none, appliedLSN: LSN = .none, isVoter: Bool = false, masterID: NodeID? = nil,
    master: NodeAddress? = nil, isStreaming: Bool = false, heardMilliseconds: UInt64? = nil
  ) {
    self.id = id
    self.address = address
    self.role = role
    self.lineage = lineage
    self.reign = reign
    self.votedTerm = votedTerm
    self.last = last
    self.committedLSN = committedLSN
    self.appliedLSN = appliedLSN
    self.isVoter = isVoter
    self.masterID = masterID
    self.master = master
    self.isStreaming = isStreaming
    self.heardMilliseconds = heardMilliseconds
    hasData = last.lsn > .none
  }

  package init(parsing elements: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: elements)
    id = try pairs.nodeID("node-id")
    address = try pairs.address(host: "addr", port: "port")
    let roleText = try pairs.required("role")
    guard let role = Role(rawValue: roleText) else { throw pairs.bad("role", roleText, "master, slave or detached") }
    self.role = role
    lineage = try pairs.optionalNodeID("lineage")
    reign = try pairs.reign("term", owner: "owner")
    votedTerm = try pairs.optionalTerm("voted-term")
    last = try pairs.position("last")
    committedLSN = try pairs.lsn("committed")
    appliedLSN = try pairs.lsn("applied")
    isVoter = try pairs.flag("voter")
    masterID = try pairs.optionalNodeID("master-id")
    master = try Self.place(pairs)
    isStreaming = try pairs.flag("streaming")
    heardMilliseconds = try pairs.optionalNumber("heard-ms")
    if pairs.text("standing") != nil { standsFor = try pairs.term("standing") }
    if let text = pairs.text("refetch"), text != "none" { refetchTo = try pairs.position("refetch") }
    hasData = pairs.text("has-data") == nil ? last.lsn > .none : try pairs.flag("has-data")
    isJoining = try pairs.flag("joining")
    mayReign = pairs.text("may-reign") == nil ? true : try pairs.flag("may-reign")
    row = try Self.row(pairs)
  }

  private static func row(_ pairs: KeyValueArguments) throws(ReplicationError) -> [KnownNode] {
    guard let text = pairs.text("row"), text != "none" else { return [] }
    var nodes: [KnownNode] = []
    for item in text.split(separator: ",", maxSplits: rowMax, omittingEmptySubsequences: false).prefix(rowMax) {
      let halves = item.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      let place = halves.count == 2 ? halves[1].split(separator: "/", omittingEmptySubsequences: false) : []
      guard place.count == 3, let id = NodeID(hex: halves[0]), let port = KeyValueArguments.number(place[1]),
        let address = NodeAddress(host: String(place[0]), port: Int(clamping: port))
      else { throw pairs.bad("row", String(item), "id@host/port/yes|no,...") }
      nodes.append(KnownNode(id: id, address: address, isVoter: place[2] == "yes"))
    }
    return nodes
  }
  private var rowText: String {
    guard !row.isEmpty else { return "none" }
    return row.prefix(Self.rowMax).map {
      "\($0.id)@\($0.address.host)/\($0.address.port)/\(KeyValueArguments.text($0.isVoter))"
    }.joined(separator: ",")
  }

  private static func place(_ pairs: KeyValueArguments) throws(ReplicationError) -> NodeAddress? {
    guard let text = pairs.text("master"), text != "none" else { return nil }
    let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 2, let port = KeyValueArguments.number(parts[1]),
      let address = NodeAddress(host: String(parts[0]), port: Int(clamping: port))
    else { throw pairs.bad("master", text, "host/port or none") }
    return address
  }

  /// The arguments of the question.
  package static let arguments = [String(KeyValueArguments.protocolVersion)]

  package var elements: [String] {
    [
      String(KeyValueArguments.protocolVersion), "node-id", id.description, "addr", address.host, "port",
      String(address.port), "role", role.rawValue, "lineage", lineage?.description ?? "none", "term", term.description,
      "owner", KeyValueArguments.text(owner: reign.owner), "voted-term", votedTerm.description, "last",
      KeyValueArguments.text(last), "committed", committedLSN.description, "applied",
      appliedLSN.description, "voter", KeyValueArguments.text(isVoter), "master-id", masterID?.description ?? "none",
      "master", master.map { "\($0.host)/\($0.port)" } ?? "none", "streaming", KeyValueArguments.text(isStreaming),
      "heard-ms", heardMilliseconds.map(String.init) ?? "none", "refetch",
      refetchTo.map(KeyValueArguments.text) ?? "none", "has-data", KeyValueArguments.text(hasData), "joining",
      KeyValueArguments.text(isJoining), "may-reign", KeyValueArguments.text(mayReign), "row", rowText,
    ] + (standsFor.map { ["standing", $0.description] } ?? [])
  }
}

/// A node tells that it is master now.
package struct NewMaster: Hashable, Sendable {
  package var term: Term
  package var id: NodeID
  package var address: NodeAddress
  package var lineage: NodeID
  /// Of the first record of its term.
  package var firstLSN: LSN
  package var reign: Reign { Reign(term: term, owner: id) }

  package init(term: Term, id: NodeID, address: NodeAddress, lineage: NodeID, firstLSN: LSN) {
    self.term = term
    self.id = id
    self.address = address
    self.lineage = lineage
    self.firstLSN = firstLSN
  }

  package init(parsing arguments: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: arguments)
    term = try pairs.term("term")
    id = try pairs.nodeID("node-id")
    address = try pairs.address(host: "addr", port: "port")
    lineage = try pairs.nodeID("lineage")
    firstLSN = try pairs.lsn("first")
    guard term > .none, firstLSN > .none else {
      throw pairs.bad("term", term.description, "a term with a first record")
    }
  }

  package var arguments: [String] {
    [
      String(KeyValueArguments.protocolVersion), "term", term.description, "node-id", id.description, "addr",
      address.host, "port", String(address.port), "lineage", lineage.description, "first", firstLSN.description,
    ]
  }
}
