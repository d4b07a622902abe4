import Commands
import Core
import NIOCore
import NIOPosix
import Node
import NodeCommands
import Replication

/// What the node's commands ask of the server.
extension ServerCore: CommandHost {
  package var rowCommands: RowCommands { row }

  package func runBlocking(_ work: @escaping @Sendable () -> Void) { adminPool.submit { _ in work() } }

  package func loop(of client: LinkID, _ executor: Executor) -> ClientLoop {
    let worker = worker(of: executor)
    return { body in worker.eventLoop.execute { body(worker.clients[client.value]) } }
  }

  package func pausesClients(now: Tick) -> Bool {
    !service.holds.isEmpty || service.pause.current(now: now) != nil
  }
}

extension ClientHandler: StreamCandidate {
  func answerSuspended(_ error: String) { connection.answerSuspended(error) }
  var nodeConnection: (any NodeConnection)? { channel.isActive ? ChannelConnection(channel) : nil }

  func handOver(answer: [UInt8], to receiver: RelayInput, over connection: any NodeConnection) {
    guard let connection = connection as? ChannelConnection else { preconditionFailure("a connection of another host") }
    handOver(answer: ByteBuffer(bytes: answer), to: ConnectionHandler(receiver, connection: connection))
  }
}
