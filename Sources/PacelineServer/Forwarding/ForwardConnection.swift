import Core
import LogStore
import NIOCore
import Replication
import Sockets

/// A client's connection to the master: what the master knows of the session there.
///
/// On the client's event loop, owned by its `Forwarder`.
final class ForwardConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// The node at the other end.
  let address: NodeAddress
  /// Whom this node followed when it was opened; the other end may be that node's own master.
  let followed: NodeAddress
  private weak var owner: Forwarder?
  private var channel: (any Channel)?
  private(set) var isOpen = false
  private var isReading = true

  // What the master was told and has confirmed.
  var isGreeted = false
  var protocolVersion: UInt8 = 2
  var database = 0
  var level: RecordLevel?
  /// LASTLSN was asked here.
  var hasToken = false
  /// Keys are watched there.
  var watches = false
  /// ... and no more by the client.
  var hasToUnwatch = false
  var lastUsed: Tick

  /// What CLIENT LIST shows of it; a node of an older version knows by it what is forwarded.
  static let libraryName = "paceline-forward"
  static let connectSeconds: Int64 = 2

  init(_ address: NodeAddress, followed: NodeAddress, owner: Forwarder?, now: Tick) {
    self.address = address
    self.followed = followed
    self.owner = owner
    lastUsed = now
  }

  /// `opened` or `failed` of the owner is called later, on the loop.
  func open(on loop: any EventLoop) {
    let this = NIOLoopBound(self, eventLoop: loop)
    let connected = Dialer(connectTimeout: .seconds(Self.connectSeconds))
      .connect(host: address.host, port: Int(address.port), on: loop) { channel in
        try channel.pipeline.syncOperations.addHandler(this.value)
      }
    connected.whenComplete { result in
      let connection = this.value
      switch result {
      case .success(let channel):
        guard let owner = connection.owner else { return channel.close(promise: nil) }
        connection.channel = channel
        connection.isOpen = channel.isActive
        owner.opened(connection)
      case .failure(let error):
        connection.owner?.failed(connection, "\(error)")
      }
    }
  }

  func send(_ bytes: ByteBuffer, now: Tick) {
    lastUsed = now
    channel?.writeAndFlush(bytes, promise: nil)
  }

  /// The owner hears nothing more of it.
  func close() {
    owner = nil
    isOpen = false
    channel?.close(promise: nil)
    channel = nil
  }

  /// The client does not read: then nothing is read for it.
  func read(_ yes: Bool) {
    guard yes != isReading else { return }
    isReading = yes
    channel?.setOption(.autoRead, value: yes).whenFailure { _ in }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    owner?.received(&bytes, from: self)
  }
  func channelInactive(context: ChannelHandlerContext) {
    isOpen = false
    owner?.failed(self, "\(address) closed the connection")
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
