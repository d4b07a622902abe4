import Commands
import Core
import Node
import Replication

/// What the commands of a node ask of its surroundings, besides what the node itself does.
package protocol CommandHost: NodeHost {
  /// Runs what may block on disk, off the loops that serve clients.
  func runBlocking(_ work: @escaping @Sendable () -> Void)
  /// The way back to a client whose command this executor runs.
  func loop(of client: LinkID, _ executor: Executor) -> ClientLoop
  /// Clients wait: CLIENT PAUSE, a handover, or the end of the node.
  func pausesClients(now: Tick) -> Bool
  /// A sync is planned for a slave; for who watches.
  func planned(_ planned: ReplicationService.Planned, for slave: NodeID)
}

extension CommandHost {
  package func planned(_ planned: ReplicationService.Planned, for slave: NodeID) {}
}

/// Runs something on the loop of a client's connection, from any thread; nil: it is closed, or a slave's stream already.
package typealias ClientLoop = @Sendable (@escaping @Sendable ((any StreamCandidate)?) -> Void) -> Void

/// A client's connection that may become a slave's stream. On its loop.
package protocol StreamCandidate: AnyObject {
  /// The connection as who writes a stream to it sees it; nil: it is closed.
  var nodeConnection: (any NodeConnection)? { get }
  /// The command that waits is answered with an error.
  func answerSuspended(_ error: String)
  /// The answer is its last reply; from here on `receiver` reads it.
  func handOver(answer: [UInt8], to receiver: RelayInput, over connection: any NodeConnection)
}
