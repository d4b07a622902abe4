import Core

// MS_REGISTER_SLAVE 1 node-id <40 hex> addr <host> port <n> capabilities <lz4,zstd,files,delta|none> has-data <yes|no>
//                   last <term:LSN> chain <id,id,...|none> lineage <40 hex|none> accept-data-loss <yes|no>
//                   known-term <n> voter <yes|no> yields <yes|no> gives-up <none|any|40 hex>
//
// The reply is an array of bulk strings:
//   1 node-id <id> addr <host> port <n> term <n> last <term:LSN> history <t:l,...|none> lineage <id>
//     has-data <yes|no> capabilities <negotiated> upstream <id,...|none> slaves <id@host/port,...|none>
//     starts <term:mark@owner,...|none>
//
// `chain` names every node that gets its data through the one that registers; `upstream` every node above the one
// that answers, nearest first. With both, each side can refuse to close a ring. `known-term` is the newest term that the
// slave voted in or has a record of: a master of an older term is none any more. Missing: 0 and no voter. `gives-up` is for
// which other data set the slave gives up its own (`DataSetOrder`): a slave that does not for this master's is answered, so
// that it sees what is there, and is not registered. Missing: an older node, which gives up any.
// `starts` names the reigns that began by a mere start of a node, as far as the master knows. Missing: not known of any.

/// What a node can do with frames.
package struct Capabilities: OptionSet, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package static let lz4 = Capabilities(rawValue: 1)
  package static let zstd = Capabilities(rawValue: 2)
  package static let files = Capabilities(rawValue: 4)
  package static let delta = Capabilities(rawValue: 8)
  /// Can cut a tail off its log that the master's does not have.
  package static let rewind = Capabilities(rawValue: 16)
  /// Shows what it holds when it is asked.
  package static let proof = Capabilities(rawValue: 32)
  /// Understands frames that say who is above the sender.
  package static let path = Capabilities(rawValue: 64)
  package static let all: Capabilities = [.lz4, .zstd, .files, .delta, .rewind, .proof, .path]

  private static let names: [(String, Capabilities)] = [
    ("lz4", .lz4), ("zstd", .zstd), ("files", .files), ("delta", .delta), ("rewind", .rewind), ("proof", .proof),
    ("path", .path),
  ]
  package var description: String {
    let held = Self.names.filter { contains($0.1) }.map(\.0)
    return held.isEmpty ? "none" : held.joined(separator: ",")
  }
  /// Names that this node does not know are left out: both sides use only what both have.
  init(text: String) {
    self = []
    for item in text.split(separator: ",", maxSplits: 64) {
      if let known = Self.names.first(where: { $0.0 == item }) { insert(known.1) }
    }
  }
}

package enum ChainLimits {
  /// Nodes between a slave and its first master, and nodes below one slave, that a registration may name.
  package static let idsMax = 1024
}

package struct RegisterRequest: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var capabilities: Capabilities
  package var hasData: Bool
  package var last: Position
  package var chain: [NodeID]
  package var lineage: NodeID?
  package var acceptDataLoss: Bool
  /// The newest that this node knows of; a term in which it only voted has no owner.
  package var knownReign: Reign
  /// May be one of the voters, once it follows the stream.
  package var isVoter: Bool
  /// It was itself the master of that newest term, and was told to follow this one.
  package var yields: Bool
  /// nil: an older node, which does not say.
  package var givesUp: DataSetOrder?

  package init(
    id: NodeID, address: NodeAddress, capabilities: Capabilities = .all, hasData: Bool = false, last: Position = .none,
    chain: [NodeID] = [], lineage: NodeID? = nil, acceptDataLoss: Bool = false, knownReign: Reign = .none,
    isVoter: Bool = false, yields: Bool = false, givesUp: DataSetOrder? = .nothing
  ) {
    self.id = id
    self.address = address
    self.capabilities = capabilities
    self.hasData = hasData
    self.last = last
    self.chain = chain
    self.lineage = lineage
    self.acceptDataLoss = acceptDataLoss
    self.knownReign = knownReign
    self.isVoter = isVoter
    self.yields = yields
    self.givesUp = givesUp
  }

  /// The arguments after the command's name.
  package init(parsing arguments: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: arguments)
    id = try pairs.nodeID("node-id")
    address = try pairs.address(host: "addr", port: "port")
    capabilities = Capabilities(text: pairs.text("capabilities") ?? "")
    hasData = try pairs.flag("has-data")
    last = try pairs.position("last")
    chain = try pairs.nodeIDs("chain", max: ChainLimits.idsMax)
    lineage = try pairs.optionalNodeID("lineage")
    acceptDataLoss = try pairs.flag("accept-data-loss")
    knownReign = pairs.text("known-term") == nil ? .none : try pairs.reign("known-term", owner: "known-owner")
    isVoter = try pairs.flag("voter")
    yields = try pairs.flag("yields")
    if let text = pairs.text("gives-up") {
      guard let order = DataSetOrder(text: text) else {
        throw pairs.bad("gives-up", text, "none, any or 40 hex digits")
      }
      givesUp = order
    }
  }

  package var arguments: [String] {
    [
      String(KeyValueArguments.protocolVersion), "node-id", id.description, "addr", address.host, "port",
      String(address.port), "capabilities", capabilities.description, "has-data", KeyValueArguments.text(hasData),
      "last", KeyValueArguments.text(last), "chain", KeyValueArguments.text(chain), "lineage",
      lineage?.description ?? "none",
      "accept-data-loss", KeyValueArguments.text(acceptDataLoss), "known-term",
      knownReign.term.description, "known-owner", KeyValueArguments.text(owner: knownReign.owner), "voter",
      KeyValueArguments.text(isVoter), "yields", KeyValueArguments.text(yields),
    ] + (givesUp.map { ["gives-up", $0.text] } ?? [])
  }
}

package struct RegisterReply: Hashable, Sendable {
  package struct Slave: Hashable, Sendable {
    package var id: NodeID
    package var address: NodeAddress
    package init(id: NodeID, address: NodeAddress) {
      self.id = id
      self.address = address
    }
  }
  package var id: NodeID
  package var address: NodeAddress
  package var reign: Reign
  package var last: Position
  package var history: TermHistory
  package var lineage: NodeID
  package var hasData: Bool
  package var capabilities: Capabilities
  /// Nodes above the one that answers, nearest first.
  package var upstream: [NodeID]
  package var slaves: [Slave]
  /// Of its log, applied or not; nil from a node that does not say.
  package var voters: [NodeID]?
  package var starts: [StartMark] = []

  package init(
    id: NodeID, address: NodeAddress, reign: Reign, last: Position, history: TermHistory, lineage: NodeID,
    hasData: Bool,
    capabilities: Capabilities, upstream: [NodeID] = [], slaves: [Slave] = [], voters: [NodeID]? = nil
  ) {
    self.id = id
    self.address = address
    self.reign = reign
    self.last = last
    self.history = history
    self.lineage = lineage
    self.hasData = hasData
    self.capabilities = capabilities
    self.upstream = upstream
    self.slaves = slaves
    self.voters = voters
  }

  /// The elements of the reply's array.
  package init(parsing elements: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: elements)
    id = try pairs.nodeID("node-id")
    address = try pairs.address(host: "addr", port: "port")
    reign = try pairs.reign("term", owner: "owner")
    last = try pairs.position("last")
    history = try pairs.history("history")
    lineage = try pairs.nodeID("lineage")
    hasData = try pairs.flag("has-data")
    capabilities = Capabilities(text: pairs.text("capabilities") ?? "")
    upstream = try pairs.nodeIDs("upstream", max: ChainLimits.idsMax)
    voters = pairs.text("voters") == nil ? nil : try pairs.nodeIDs("voters", max: ChainLimits.idsMax)
    slaves = []
    starts = try pairs.starts("starts")
    let list = pairs.text("slaves") ?? "none"
    guard list != "none" else { return }
    for item in list.split(separator: ",", maxSplits: SlaveList.slavesMax, omittingEmptySubsequences: false) {
      let halves = item.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      let place = halves.count == 2 ? halves[1].split(separator: "/", omittingEmptySubsequences: false) : []
      guard slaves.count < SlaveList.slavesMax, place.count == 2, let id = NodeID(hex: halves[0]),
        let port = KeyValueArguments.number(place[1]),
        let address = NodeAddress(host: String(place[0]), port: Int(clamping: port))
      else { throw pairs.bad("slaves", String(item), "id@host/port,...") }
      slaves.append(Slave(id: id, address: address))
    }
  }

  package var elements: [String] {
    let list =
      slaves.isEmpty ? "none" : slaves.map { "\($0.id)@\($0.address.host)/\($0.address.port)" }.joined(separator: ",")
    return [
      String(KeyValueArguments.protocolVersion), "node-id", id.description, "addr", address.host, "port",
      String(address.port), "term", reign.term.description, "owner", KeyValueArguments.text(owner: reign.owner), "last",
      KeyValueArguments.text(last), "history",
      KeyValueArguments.text(history), "lineage", lineage.description, "has-data", KeyValueArguments.text(hasData),
      "capabilities", capabilities.description, "upstream", KeyValueArguments.text(upstream), "slaves", list,
      "starts", KeyValueArguments.text(starts),
    ] + (voters.map { ["voters", KeyValueArguments.text($0)] } ?? [])
  }
}
