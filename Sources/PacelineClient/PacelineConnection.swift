import NIOCore
import NIOPosix
import RESP
import Sockets

/// One TCP connection to one node. Commands may be sent from any task at any time; they are pipelined in the order in
/// which they were called, and each gets its own reply.
///
/// There is no TLS: use it inside a trusted network or through a tunnel.
///
///     let connection = try await PacelineConnection.connect(host: "127.0.0.1", port: 7400)
///     let value = try await connection.command(["GET", "greeting"]).get()
///     await connection.close()
public final class PacelineConnection: Sendable {
  public struct Options: Sendable {
    /// How long establishing the connection may take. Default 3 seconds.
    public var connectTimeout: Duration = .seconds(3)
    /// How long the oldest command may wait for its reply before the connection is given up; nil: for ever, which is
    /// what commands that block need. Default 30 seconds.
    public var replyTimeout: Duration? = .seconds(30)
    /// Commands that may wait for their replies at once; one more is refused. Default 65,536.
    public var inFlightMax = 65_536
    public var replyLimits = ReplyLimits()
    public init() {}
  }

  public let address: NodeAddress
  private let channel: any Channel

  private init(address: NodeAddress, channel: any Channel) {
    self.address = address
    self.channel = channel
  }

  /// Connects and, with a password, logs in.
  /// - Parameter eventLoopGroup: the threads that do the IO; the process-wide ones by default.
  /// - Throws: `PacelineError.cannotConnect`, `.notAuthenticated`, or `.connectionLost` during the login.
  public static func connect(
    host: String, port: Int, password: String? = nil, options: Options = Options(),
    on eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
  ) async throws -> PacelineConnection {
    let address = NodeAddress(host: host, port: port)
    let channel: any Channel
    do {
      let dialer = Dialer(connectTimeout: TimeAmount(options.connectTimeout))
      channel = try await dialer.connect(host: host, port: port, on: eventLoopGroup) { channel in
        try channel.pipeline.syncOperations.addHandler(CommandHandler(address: address, options: options))
      }.get()
    } catch {
      throw PacelineError.cannotConnect(address, reason: SocketFailure.describe(error))
    }
    let connection = PacelineConnection(address: address, channel: channel)
    if let password, let refusal = Login.refusal(try await connection.command(Login.command(password: password))) {
      await connection.close()
      throw PacelineError.notAuthenticated(address, reason: refusal)
    }
    return connection
  }

  public var isOpen: Bool { channel.isActive }

  /// Sends one command and waits for its reply. An error reply is a value, too: `get()` turns it into a thrown error.
  /// - Parameter arguments: the command's name and its arguments; not empty.
  /// - Throws: `PacelineError.connectionLost`, `.closed` or `.tooManyInFlight`.
  public func command(_ arguments: [String]) async throws -> RESPValue {
    try await command(arguments.map { Array($0.utf8) })
  }

  /// As the other `command`, with arguments that need not be text.
  public func command(_ arguments: [[UInt8]]) async throws -> RESPValue {
    try await send([arguments]).get()[0]
  }

  /// Sends several commands in one packet and waits for all replies; they come in the order of the commands. Other
  /// tasks' commands do not get between them, but they are no transaction.
  /// - Throws: as `command`. Then some of the commands may have been carried out.
  public func commands(_ batch: [[String]]) async throws -> [RESPValue] {
    try await send(batch.map { $0.map { Array($0.utf8) } }).get()
  }

  /// As the other `commands`, with arguments that need not be text.
  public func commands(_ batch: [[[UInt8]]]) async throws -> [RESPValue] {
    try await send(batch).get()
  }

  /// `commands` for callers that live on an event loop; the future completes on the connection's loop.
  package func send(_ batch: [[[UInt8]]]) -> EventLoopFuture<[RESPValue]> {
    guard !batch.isEmpty else { return channel.eventLoop.makeSucceededFuture([]) }
    precondition(batch.allSatisfy { !$0.isEmpty }, "a command has a name at least")
    let promise = channel.eventLoop.makePromise(of: [RESPValue].self)
    // The handler owns the promise once the write reaches it. A channel that is closed fails the write instead.
    channel.writeAndFlush(CommandHandler.Request(batch: batch, promise: promise)).whenFailure { [address] _ in
      promise.fail(PacelineError.closed(address))
    }
    return promise.futureResult
  }

  /// Closes the connection; commands still waiting fail with `connectionLost`. Closing twice does nothing more.
  public func close() async {
    try? await channel.close()
  }
}

/// Gives each reply to the command that waits for it.
///
/// Owned by its channel's pipeline and used on its event loop only.
/// Invariant: `waiting` holds the batches whose replies are not complete, in the order in which they were written.
private final class CommandHandler: ChannelDuplexHandler {
  struct Request: Sendable {
    let batch: [[[UInt8]]]
    let promise: EventLoopPromise<[RESPValue]>
  }
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = Request
  typealias OutboundOut = ByteBuffer

  private struct Waiting {
    let promise: EventLoopPromise<[RESPValue]>
    let replyCount: Int
    let deadline: NIODeadline?
    var replies: [RESPValue] = []
  }

  private let address: NodeAddress
  private let options: PacelineConnection.Options
  private var decoder: ReplyDecoder
  private var requests = RequestBuffer()
  private var received = ByteBuffer()
  private var waiting = CircularBuffer<Waiting>()
  private var inFlight = 0
  private var timeout: Scheduled<Void>?
  private var failure = "the server closed it"

  init(address: NodeAddress, options: PacelineConnection.Options) {
    self.address = address
    self.options = options
    decoder = ReplyDecoder(limits: options.replyLimits)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let request = unwrapOutboundIn(data)
    guard context.channel.isActive else {
      request.promise.fail(PacelineError.closed(address))
      promise?.succeed()
      return
    }
    guard inFlight + request.batch.count <= options.inFlightMax else {
      request.promise.fail(PacelineError.tooManyInFlight(limit: options.inFlightMax))
      promise?.succeed()
      return
    }
    for arguments in request.batch { requests.command(arguments) }
    var buffer = context.channel.allocator.buffer(capacity: requests.bytes.count)
    buffer.writeBytes(requests.bytes)
    requests.removeAll()
    inFlight += request.batch.count
    waiting.append(
      Waiting(
        promise: request.promise, replyCount: request.batch.count,
        deadline: options.replyTimeout.map { .now() + TimeAmount($0) }))
    // From here on the promise is kept by `waiting`: a write that fails closes the channel, and that fails the promise.
    promise?.succeed()
    context.write(wrapOutboundOut(buffer), promise: nil)
    if timeout == nil { watchOldest(context) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    if received.readableBytes == 0 {
      received = bytes
    } else {
      received.writeBuffer(&bytes)
    }
    do throws(MalformedReply) {
      while let reply = try nextReply() { deliver(reply, context) }
      received.discardReadBytes()
    } catch {
      giveUp(context, error.description)
    }
  }

  private func nextReply() throws(MalformedReply) -> RESPValue? {
    let found = received.withUnsafeReadableBytes { bytes in
      Result { () throws(MalformedReply) in try decoder.next(bytes) }
    }
    guard let (reply, byteCount) = try found.get() else { return nil }
    received.moveReaderIndex(forwardBy: byteCount)
    return reply
  }

  private func deliver(_ reply: RESPValue, _ context: ChannelHandlerContext) {
    if case .push = reply { return }  // Answers no command.
    guard !waiting.isEmpty else {
      giveUp(context, "the server sent a reply that no command waits for")
      return
    }
    waiting[waiting.startIndex].replies.append(reply)
    inFlight -= 1
    guard waiting[waiting.startIndex].replies.count == waiting[waiting.startIndex].replyCount else { return }
    let done = waiting.removeFirst()
    done.promise.succeed(done.replies)
  }

  /// Watches the oldest batch; one timer serves all, as replies come in order.
  private func watchOldest(_ context: ChannelHandlerContext) {
    guard let deadline = waiting.first?.deadline else {
      timeout = nil
      return
    }
    let here = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    timeout = context.eventLoop.scheduleTask(deadline: deadline) {
      let (handler, context) = here.value
      if let oldest = handler.waiting.first?.deadline, oldest <= .now() {
        handler.giveUp(context, "no reply within \(handler.options.replyTimeout ?? .zero)")
      } else {
        handler.watchOldest(context)
      }
    }
  }

  private func giveUp(_ context: ChannelHandlerContext, _ reason: String) {
    failure = reason
    context.close(promise: nil)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    giveUp(context, SocketFailure.describe(error))
  }

  func channelInactive(context: ChannelHandlerContext) {
    timeout?.cancel()
    timeout = nil
    inFlight = 0
    while let lost = waiting.popFirst() {
      lost.promise.fail(PacelineError.connectionLost(address, reason: failure))
    }
    context.fireChannelInactive()
  }
}
