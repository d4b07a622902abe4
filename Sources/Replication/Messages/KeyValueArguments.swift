import Core

/// `key value` pairs after a protocol version: the arguments of MS_REGISTER_SLAVE and MS_SYNC_SLAVE and their replies.
/// Unknown keys are ignored, so that a newer peer may add some; a key given twice, a missing value or a text that is
/// too long is refused.
package struct KeyValueArguments: Sendable {
  /// Raised only when an older node could not understand a newer one's pairs at all.
  package static let protocolVersion = 2
  static let pairsMax = 64
  static let valueBytesMax = 4 << 20

  private var values: [String: String] = [:]

  /// Reads `<version> key value key value ...`.
  package init(parsing arguments: [String]) throws(ReplicationError) {
    guard let first = arguments.first else { throw ReplicationError(.syntax, "a protocol version is expected") }
    guard first == String(Self.protocolVersion) else {
      throw ReplicationError(
        .protocolVersion,
        "this node speaks replication protocol version \(Self.protocolVersion), not '\(singleLine(first))'")
    }
    guard arguments.count % 2 == 1 else { throw ReplicationError(.syntax, "a key without a value") }
    guard arguments.count <= 1 + Self.pairsMax * 2 else {
      throw ReplicationError(.syntax, "\(arguments.count / 2) pairs, at most \(Self.pairsMax) are allowed")
    }
    for index in stride(from: 1, to: arguments.count, by: 2) {
      let key = arguments[index].lowercased()
      let value = arguments[index + 1]
      guard key.utf8.count <= 64 else { throw ReplicationError(.syntax, "the key '\(singleLine(key))' is too long") }
      guard value.utf8.count <= Self.valueBytesMax else {
        throw ReplicationError(.syntax, "the value of '\(singleLine(key))' has \(value.utf8.count) bytes")
      }
      guard values.updateValue(value, forKey: key) == nil else {
        throw ReplicationError(.syntax, "the key '\(singleLine(key))' is given twice")
      }
    }
  }

  func text(_ key: String) -> String? { values[key] }

  func required(_ key: String) throws(ReplicationError) -> String {
    guard let value = values[key] else { throw ReplicationError(.syntax, "'\(key)' is missing") }
    return value
  }

  func bad(_ key: String, _ value: String, _ wanted: String) -> ReplicationError {
    ReplicationError(.syntax, "'\(key)' is '\(singleLine(value))', \(wanted) expected")
  }

  func nodeID(_ key: String) throws(ReplicationError) -> NodeID {
    let value = try required(key)
    guard let id = NodeID(hex: value) else { throw bad(key, value, "40 hex digits") }
    return id
  }

  /// `none` or 40 hex digits; a missing key is `none`.
  func optionalNodeID(_ key: String) throws(ReplicationError) -> NodeID? {
    guard let value = values[key], value != "none" else { return nil }
    guard let id = NodeID(hex: value) else { throw bad(key, value, "40 hex digits or none") }
    return id
  }

  func flag(_ key: String) throws(ReplicationError) -> Bool {
    guard let value = values[key] else { return false }
    switch value {
    case "yes": return true
    case "no": return false
    case _: throw bad(key, value, "yes or no")
    }
  }

  func number(_ key: String) throws(ReplicationError) -> UInt64 {
    let value = try required(key)
    guard let number = Self.number(value) else { throw bad(key, value, "a number") }
    return number
  }

  func term(_ key: String) throws(ReplicationError) -> Term {
    let value = try number(key)
    guard let term = Term(outside: value) else { throw bad(key, String(value), "a term of at most \(Term.limit)") }
    return term
  }

  /// A reign in two keys; a missing owner is unknown.
  func reign(_ key: String, owner ownerKey: String) throws(ReplicationError) -> Reign {
    Reign(term: try term(key), owner: try optionalNodeID(ownerKey) ?? .unknown)
  }
  static func text(owner: NodeID) -> String { owner == .unknown ? "none" : owner.description }

  /// A missing key is term 0.
  func optionalTerm(_ key: String) throws(ReplicationError) -> Term {
    values[key] == nil ? .none : try term(key)
  }

  /// `none` or a number; a missing key is `none`.
  func optionalNumber(_ key: String) throws(ReplicationError) -> UInt64? {
    guard let value = values[key], value != "none" else { return nil }
    return try number(key)
  }

  func position(_ key: String) throws(ReplicationError) -> Position {
    let value = try required(key)
    guard let position = Self.position(value, missingOwner: .unknown) else { throw bad(key, value, "term:LSN@owner") }
    return position
  }

  func address(host hostKey: String, port portKey: String) throws(ReplicationError) -> NodeAddress {
    let host = try required(hostKey)
    let portText = try required(portKey)
    guard let port = Self.number(portText), let address = NodeAddress(host: host, port: Int(clamping: port)) else {
      throw ReplicationError(
        .syntax,
        "'\(singleLine(host))' port '\(singleLine(portText))' is no address: a host name and a port of 1 to 65535 expected"
      )
    }
    return address
  }

  /// Comma separated ids, possibly none.
  func nodeIDs(_ key: String, max: Int) throws(ReplicationError) -> [NodeID] {
    guard let value = values[key], !value.isEmpty, value != "none" else { return [] }
    let items = value.split(separator: ",", maxSplits: max, omittingEmptySubsequences: false)
    guard items.count <= max else { throw bad(key, value, "at most \(max) ids") }
    var ids: [NodeID] = []
    for item in items {
      guard let id = NodeID(hex: item) else { throw bad(key, String(item), "ids of 40 hex digits") }
      ids.append(id)
    }
    return ids
  }

  /// Comma separated `term:LSN@owner`, possibly none. Without an owner it is that of the one before.
  func history(_ key: String) throws(ReplicationError) -> TermHistory {
    guard let value = values[key], !value.isEmpty, value != "none" else { return TermHistory() }
    var entries: [TermHistory.Entry] = []
    for item in value.split(
      separator: ",", maxSplits: BodyCoding.historyEntriesMax, omittingEmptySubsequences: false)
    {
      guard entries.count < BodyCoding.historyEntriesMax,
        let position = Self.position(item, missingOwner: entries.last?.owner ?? .unknown)
      else { throw bad(key, String(item), "term:LSN@owner,term:LSN@owner,...") }
      entries.append(TermHistory.Entry(position.reign, firstLSN: position.lsn))
    }
    guard let history = TermHistory(entries) else { throw bad(key, value, "rising terms and LSNs") }
    return history
  }

  func lsn(_ key: String) throws(ReplicationError) -> LSN { LSN(try number(key)) }
  func optionalLSN(_ key: String) throws(ReplicationError) -> LSN? { try optionalNumber(key).map { LSN($0) } }

  /// Comma separated starts, as positions with the mark for a place; possibly none.
  func starts(_ key: String) throws(ReplicationError) -> [StartMark] {
    guard let value = values[key], !value.isEmpty, value != "none" else { return [] }
    var starts: [StartMark] = []
    for item in value.split(separator: ",", maxSplits: Self.startsMax, omittingEmptySubsequences: false) {
      guard starts.count < Self.startsMax, let position = Self.position(item, missingOwner: .unknown) else {
        throw bad(key, String(item), "term:mark@owner,...")
      }
      starts.append(StartMark(position.reign, mark: position.lsn.value))
    }
    return starts
  }
  static let startsMax = 256
  static func text(_ starts: [StartMark]) -> String {
    starts.isEmpty
      ? "none"
      : starts.suffix(startsMax).map { text(Position($0.reign, lsn: LSN($0.mark))) }.joined(separator: ",")
  }

  /// Digits only: no sign, no blank, nothing beyond `OutsideNumber.limit`, which is that of LSNs too.
  static func number(_ text: some StringProtocol) -> UInt64? {
    guard !text.isEmpty, text.utf8.count <= 20, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
    guard let number = UInt64(text), number <= OutsideNumber.limit else { return nil }
    return number
  }

  /// `term:LSN@owner`, or without the owner.
  static func position(_ text: some StringProtocol, missingOwner: NodeID) -> Position? {
    let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard let place = halves.first, let owner = halves.count == 2 ? NodeID(hex: halves[1]) : missingOwner else {
      return nil
    }
    let parts = place.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 2, let termNumber = number(parts[0]), let lsn = number(parts[1]),
      let term = Term(outside: termNumber)
    else { return nil }
    return Position(Reign(term: term, owner: owner), lsn: LSN(lsn))
  }

  static func text(_ position: Position) -> String {
    position.reign.owner == .unknown ? position.description : "\(position)@\(position.reign.owner)"
  }
  static func text(_ history: TermHistory) -> String {
    guard !history.entries.isEmpty else { return "none" }
    var items: [String] = []
    var owner: NodeID?
    for entry in history.entries.suffix(BodyCoding.historyEntriesMax) {
      items.append("\(entry.term):\(entry.firstLSN)" + (entry.owner == owner ? "" : "@\(entry.owner)"))
      owner = entry.owner
    }
    return items.joined(separator: ",")
  }
  static func text(_ ids: [NodeID]) -> String { ids.isEmpty ? "none" : ids.map(\.description).joined(separator: ",") }
  static func text(_ flag: Bool) -> String { flag ? "yes" : "no" }
}

/// Where a node listens. Made only from what could be one: no control characters, no blanks, a port that exists.
package struct NodeAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let host: String
  package let port: UInt16

  package init?(host: String, port: Int) {
    guard !host.isEmpty, host.utf8.count <= 255, let port16 = UInt16(exactly: port), port16 > 0 else { return nil }
    for byte in host.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: ":"), UInt8(ascii: "%"), UInt8(ascii: "["), UInt8(ascii: "]"):
        continue
      case _: return nil
      }
    }
    self.host = host
    self.port = port16
  }
  package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
  package static func < (a: NodeAddress, b: NodeAddress) -> Bool { (a.host, a.port) < (b.host, b.port) }
}
