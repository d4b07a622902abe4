import Core

/// What a node is to its clients: the master of its row, or a slave.
package enum Role: Hashable, Sendable {
  case master
  /// The master's address. A node that follows nobody names the address that clients are told of; its own if it knows none.
  case slave(of: NodeAddress)
}

// A generation keeps two roles as text: the one that the node has, and the one that it was started with. `self` is the
// master; a slave is `host/port`, the address of its master; empty, the role never changed. Nobody else reads that text.
extension Role {
  package init?(persisted text: String) {
    if text == Self.persistedMaster {
      self = .master
      return
    }
    let parts = text.split(separator: "/")
    guard parts.count == 2, let port = Int(parts[1]), let master = NodeAddress(host: String(parts[0]), port: port)
    else { return nil }
    self = .slave(of: master)
  }

  package var persisted: String {
    switch self {
    case .master: Self.persistedMaster
    case .slave(let master): "\(master.host)/\(master.port)"
    }
  }
  private static let persistedMaster = "self"
}
