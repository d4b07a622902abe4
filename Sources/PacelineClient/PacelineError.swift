/// Why a command has no reply. An error *reply* of the server is not one of these: it is `RESPValue.error`.
public enum PacelineError: Error, Sendable, CustomStringConvertible {
  /// No connection came about; nothing was sent.
  case cannotConnect(NodeAddress, reason: String)
  /// The server refused the password, or wants one.
  case notAuthenticated(NodeAddress, reason: String)
  /// The connection ended before the reply came. The command may have been carried out: a write's outcome is unknown.
  case connectionLost(NodeAddress, reason: String)
  /// The connection was closed by this side before the command was sent: it was surely not carried out.
  case closed(NodeAddress)
  /// Too many commands wait for their replies; this one was not sent.
  case tooManyInFlight(limit: Int)
  /// None of the nodes is a master, so the write was not sent.
  case noMaster([NodeAddress])
  /// No node could serve the read; `lastFailure` is from the node tried last.
  case noReadableNode([NodeAddress], lastFailure: String)

  public var description: String {
    switch self {
    case .cannotConnect(let node, let reason): "cannot connect to \(node): \(reason)"
    case .notAuthenticated(let node, let reason): "\(node) refused the login: \(reason)"
    case .connectionLost(let node, let reason): "the connection to \(node) was lost: \(reason)"
    case .closed(let node): "the connection to \(node) is closed"
    case .tooManyInFlight(let limit): "more than \(limit) commands wait for their replies"
    case .noMaster(let nodes): "no master among \(nodes.map(\.description).joined(separator: ", "))"
    case .noReadableNode(let nodes, let lastFailure):
      "none of \(nodes.map(\.description).joined(separator: ", ")) could be read; the last failure: \(lastFailure)"
    }
  }
}
