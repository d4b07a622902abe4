import Core

// MS_FORWARD 2 [name value ...], on the connection of one client of another node:
//
//   id      the node that forwards, 40 hexadecimal digits
//
// +OK. From then on the connection is that node's: what comes over it is executed here or refused and goes no further, and
// LASTLSN tells of all that is applied. Other names are passed over. A node of an older version answers `-ERR unknown
// command`; such a connection goes by the name of its library, `paceline-forward`.

/// That a connection carries what a client of another node asked for.
package struct ForwardOrder: Hashable, Sendable {
  package static let command = "MS_FORWARD"
  package let node: NodeID

  package init(node: NodeID) { self.node = node }

  package init(parsing arguments: [String]) throws(ReplicationError) {
    node = try KeyValueArguments(parsing: arguments).nodeID("id")
  }

  package var arguments: [String] { [String(KeyValueArguments.protocolVersion), "id", node.description] }
}
