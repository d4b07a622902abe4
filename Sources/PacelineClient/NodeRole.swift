import RESP

/// What a node says about itself when asked `ROLE`.
public enum NodeRole: Hashable, Sendable {
  case master(slaves: [NodeAddress])
  /// `linkState` is `connected` when it follows its master without a gap, else a word such as `sync` or `connecting`.
  case slave(of: NodeAddress?, linkState: String)
  /// A sentinel, or a role this client does not know.
  case other(String)

  /// Reads the reply of `ROLE`; nil if it has not that shape.
  public init?(_ reply: RESPValue) {
    guard let fields = reply.elements, let name = fields.first?.string else { return nil }
    switch name {
    case "master":
      // ["master", offset, [[host, port, offset], ...]]
      let slaves = fields.count > 2 ? fields[2].elements ?? [] : []
      self = .master(slaves: slaves.compactMap { $0.elements.flatMap { Self.address($0, at: 0) } })
    case "slave":
      // ["slave", host, port, state, offset]
      self = .slave(of: Self.address(fields, at: 1), linkState: fields.count > 3 ? fields[3].string ?? "" : "")
    default:
      self = .other(name)
    }
  }

  public var isMaster: Bool {
    if case .master = self { return true }
    return false
  }

  private static func address(_ fields: [RESPValue], at index: Int) -> NodeAddress? {
    guard fields.count > index + 1, let host = fields[index].string, !host.isEmpty,
      let port = fields[index + 1].int, (1...65535).contains(port)
    else { return nil }
    return NodeAddress(host: host, port: Int(port))
  }
}
