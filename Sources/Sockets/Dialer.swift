import NIOCore
import NIOPosix

/// The one way to connect to a node, for the client library, for the tools, and for nodes among themselves.
package struct Dialer: Sendable {
  /// How long establishing a connection may take.
  package var connectTimeout: TimeAmount
  /// Bytes that are taken from the socket at once, one read an event; nil: as NIO finds good.
  package var receiveBytes: Int?

  package init(connectTimeout: TimeAmount = .seconds(5), receiveBytes: Int? = nil) {
    self.connectTimeout = connectTimeout
    self.receiveBytes = receiveBytes
  }

  /// - Parameters:
  ///   - host: an IP address, or a name that is looked up off the loop.
  ///   - initialize: puts the handlers into the pipeline, on the connection's loop.
  /// - Returns: the connection, or a `DialError` and no other error.
  package func connect(
    host: String, port: Int, on group: any EventLoopGroup,
    _ initialize: @escaping @Sendable (any Channel) throws -> Void
  ) -> EventLoopFuture<any Channel> {
    var bootstrap = ClientBootstrap(group: group)
      .connectTimeout(connectTimeout)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try initialize(channel) }
      }
    if let receiveBytes {
      bootstrap =
        bootstrap
        .channelOption(.maxMessagesPerRead, value: 1)
        .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: receiveBytes))
    }
    let connected: EventLoopFuture<any Channel>
    if let address = try? SocketAddress(ipAddress: host, port: port) {
      connected = bootstrap.connect(to: address)
    } else {
      connected = bootstrap.connect(host: host, port: port)
    }
    return connected.flatMapErrorThrowing { error in
      throw DialError(host: host, port: port, reason: SocketFailure.describe(error))
    }
  }
}

/// No connection came about; nothing was sent.
package struct DialError: Error, Hashable, Sendable, CustomStringConvertible {
  package let host: String
  package let port: Int
  package let reason: String

  package var description: String {
    "cannot connect to \(host.contains(":") ? "[\(host)]" : host):\(port): \(reason)"
  }
}
