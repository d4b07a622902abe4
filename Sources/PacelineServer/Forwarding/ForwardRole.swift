import RESP
import Replication

/// What a node that refused a forwarded write answers to ROLE.
enum ForwardRole: Equatable {
  case master
  /// nil: it names no master that could be asked.
  case slave(of: NodeAddress?)
  case unknown

  /// nil for a reply of another shape.
  init?(_ reply: RESPValue) {
    guard let fields = reply.elements, let name = fields.first?.string else { return nil }
    switch name {
    case "master": self = .master
    case "slave":
      guard fields.count > 2, let host = fields[1].string, let port = fields[2].int.flatMap({ Int(exactly: $0) }) else {
        return nil
      }
      self = .slave(of: NodeAddress(host: host, port: port))
    default: return nil
    }
  }
}
