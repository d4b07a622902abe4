import Commands
import Core
import NIOCore
import NIOPosix
import RESP
import Replication

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Connections come and go.
extension ServerCore {
  /// Decides whether a new connection may stay, and enters it in the directory. On its loop.
  func accepted(_ client: ClientHandler) {
    let channel = client.channel
    accepted.add(1, ordering: .relaxed)
    let settings = configuration
    client.session.address = Self.addressText(of: channel.remoteAddress)
    client.session.authenticated = settings.password == nil
    client.connection.limits = Self.limits(settings, authenticated: settings.password == nil)
    if settings.password != nil { client.stranger.began(at: client.createdAt) }
    let count = connected.add(1, ordering: .sequentiallyConsistent).newValue
    let entry = ClientDirectory.Entry(
      id: client.session.id, address: client.session.address, localAddress: Self.addressText(of: channel.localAddress),
      descriptor: Self.descriptor(of: channel), createdAt: client.createdAt, channel: channel)
    service.clients.add(entry)
    // However it ends, and whoever has taken it over by then.
    channel.closeFuture.whenComplete { [self] _ in
      service.clients.remove(entry.id)
      connected.subtract(1, ordering: .sequentiallyConsistent)
    }
    if count > settings.clientsMax {
      rejected.add(1, ordering: .relaxed)
      client.connection.finish("ERR max number of clients reached")
    } else if settings.protectedMode, settings.password == nil, !Self.isLocal(channel.remoteAddress) {
      rejected.add(1, ordering: .relaxed)
      client.connection.finish(Self.deniedText)
    } else {
      keepAlive(channel)
    }
  }

  /// A handler is done with its connection: it has gone, and is forgotten with its channel, or a slave's stream has
  /// taken it over.
  func closed(_ client: ClientHandler) {
    if client.channel.isActive {
      service.clients.become(.replica, client.session.id)
    } else if client.session.isSlaveLink {
      row.slaveLeft(LinkID(client.session.id))
    }
  }

  func protocolFailed(_ error: ProtocolError, _ client: ClientHandler) {
    let warns = service.statistics.noteProtocolError(isAttack: error == .httpRequest, now: Clocks.monotonic)
    guard warns else {
      logger.debug(
        "protocol error",
        metadata: [
          "client.id": "\(client.session.id)", "client.address": "\(client.session.address)", "error": "\(error)",
        ])
      return
    }
    logger.warning(
      """
      Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Paceline. This is \
      likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Paceline instance. \
      Connection aborted.
      """,
      metadata: ["client.address": "\(client.session.address)"])
  }

  static func limits(_ settings: ServerConfiguration, authenticated: Bool) -> RequestLimits {
    var limits = RequestLimits(authenticated: authenticated)
    limits.bulkBytesMax = max(settings.store.valueBytesMax, settings.store.keyBytesMax)
    limits.commandBytesMax = settings.queryBufferBytesMax
    return limits
  }

  /// A loop gives its connections the limits of this configuration. On that loop.
  func apply(_ settings: ServerConfiguration, to worker: LoopWorker) {
    worker.configure(settings)
    for client in worker.clients.values {
      client.connection.limits = Self.limits(settings, authenticated: client.session.authenticated)
    }
  }

  // MARK: Sockets

  /// Peers that vanished without a word are found out after about five minutes, as in Redis.
  private func keepAlive(_ channel: any Channel) {
    guard let options = channel.syncOptions else { return }
    try? options.setOption(.socketOption(.so_keepalive), value: 1)
    #if canImport(Glibc) || canImport(Musl)
      try? options.setOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 300)
      try? options.setOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 100)
      try? options.setOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
    #endif
  }

  private static func descriptor(of channel: any Channel) -> Int {
    let descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
      of: NIOBSDSocket.Handle.self
    ) { Int($0) }
    return (descriptor ?? nil) ?? -1
  }

  /// `address:port`, an IPv6 address in brackets.
  static func addressText(of address: SocketAddress?) -> String {
    guard let address, let ip = address.ipAddress, let port = address.port else { return "?:0" }
    return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
  }

  /// A peer on this machine: loopback, or loopback in IPv6's clothes, or a Unix socket.
  static func isLocal(_ address: SocketAddress?) -> Bool {
    guard let address else { return false }
    guard let ip = address.ipAddress else { return true }
    return ip == "::1" || ip.hasPrefix("127.") || ip.hasPrefix("::ffff:127.")
  }

  private static let deniedText = """
    DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default \
    user. In this mode connections are only accepted from the loopback interface. If you want to connect from external \
    computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the \
    command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is \
    running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make \
    this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration \
    file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server \
    manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password \
    for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting \
    connections from the outside.
    """
}
