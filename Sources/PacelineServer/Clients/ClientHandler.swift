// Raw memory: hands a socket's bytes on where they lie.
import Commands
import Connection
import Core
import NIOCore
import NIOPosix
import RESP

/// The socket of one client: what comes goes to its `ClientConnection`, what that gives away goes out.
///
/// Lives on its event loop. Keeps what is not executed yet, within the query buffer limit, and the bytes of replies that wait.
final class ClientHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  let worker: LoopWorker
  let connection: ClientConnection
  let channel: any Channel
  let createdAt: Tick
  /// Set while the handler is in its pipeline: writing from here is a shorter way than from the channel.
  private var context: ChannelHandlerContext?
  /// Bytes of an incomplete command, and of commands not executed while the connection is suspended.
  private(set) var pending: ByteBuffer?
  /// Replies that wait, oldest first; see `HeldReplies`.
  private var kept: CircularBuffer<ByteBuffer> = .init(initialCapacity: 2)
  private(set) var isReading = true
  /// Bytes that are looked at just now: CLIENT LIST shows them of the connection that asks.
  private(set) var beingExecuted = 0
  /// As long as it owes a password.
  var stranger = Stranger()
  /// What goes to the master.
  let forwarding: ClientForwarding
  private(set) var bytesReceived: UInt64 = 0
  private(set) var bytesSent: UInt64 = 0

  /// While suspended, at most so many bytes of further commands are taken from the socket.
  private static let suspendedBytesMax = 64 << 10

  init(worker: LoopWorker, session: Session, channel: any Channel, limits: RequestLimits) {
    self.worker = worker
    self.channel = channel
    connection = ClientConnection(session, on: worker.loop, limits: limits)
    forwarding = ClientForwarding(worker)
    createdAt = Clocks.monotonic
  }

  var session: Session { connection.session }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    connection.begin(self)
  }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelActive(context: ChannelHandlerContext) {
    worker.clients[session.id] = self
    worker.server.accepted(self)
  }

  func channelInactive(context: ChannelHandlerContext) {
    stranger.left(worker.server.service.strangers)
    leave()
    context.fireChannelInactive()
  }

  /// Nothing more comes from here.
  private func leave() {
    forwarding.end()
    connection.left()
    kept.removeAll()
    worker.clients[session.id] = nil
    worker.server.closed(self)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if channel.isWritable, connection.isSuspended { connection.retry() }
    if !channel.isWritable, !session.authenticated { refuseStranger(.unreadReplies) }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Bytes in

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    bytesReceived &+= UInt64(buffer.readableBytes)
    worker.counters.received(buffer.readableBytes)
    // Who sent the rest reads no replies any more.
    if connection.takesNothing { return }
    defer { countStranger() }
    if pending != nil {
      pending!.writeBuffer(&buffer)
      if connection.isSuspended { holdBack() } else { executePending() }
    } else if connection.isSuspended {
      keep(&buffer)
      holdBack()
    } else {
      let consumed = execute(buffer)
      if consumed < buffer.readableBytes {
        buffer.moveReaderIndex(forwardBy: consumed)
        keep(&buffer)
      }
      forwarding.start()
    }
  }

  @inline(__always)
  private func execute(_ buffer: borrowing ByteBuffer) -> Int {
    beingExecuted = buffer.readableBytes
    defer { beingExecuted = 0 }
    return buffer.withUnsafeReadableBytes { connection.received($0) }
  }

  /// What was given to the socket and has not left.
  var unsentBytes: Int { (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

  private func keep(_ buffer: inout ByteBuffer) {
    guard !session.closing else { return }
    let wanted = max(buffer.readableBytes, min(connection.bytesWantedAtLeast, 1 << 20))
    var kept = channel.allocator.buffer(capacity: wanted)
    kept.writeBuffer(&buffer)
    pending = kept
    connection.refuseOversize(unread: kept.readableBytes)
  }

  private func executePending() {
    guard var buffer = pending else { return }
    defer {
      forwarding.start()
      countStranger()
    }
    pending = nil
    let consumed = execute(buffer)
    if connection.takesNothing { return }
    buffer.moveReaderIndex(forwardBy: consumed)
    if buffer.readableBytes == 0 { return }
    if buffer.readerIndex > 64 << 10 { buffer.discardReadBytes() }
    let wanted = min(connection.bytesWantedAtLeast, connection.limits.commandBytesMax)
    if wanted > buffer.readableBytes + buffer.writableBytes {
      buffer.reserveCapacity(minimumWritableBytes: wanted - buffer.readableBytes)
    }
    pending = buffer
    connection.refuseOversize(unread: buffer.readableBytes)
  }

  /// What a connection that owes a password holds counts for all of them together.
  @inline(__always)
  private func countStranger() {
    if _fastPath(session.authenticated && !stranger.holdsBytes) { return }
    countStrangersBytes()
  }

  private func holdBack() {
    if isReading, pending?.readableBytes ?? 0 > Self.suspendedBytesMax {
      isReading = false
      channel.setOption(.autoRead, value: false).whenFailure { _ in }
    }
  }

  func dropPending() { pending = nil }

  /// Commands that were to be forwarded are executed here after all, before what came behind them.
  func giveBack(_ bytes: ByteBuffer) {
    var all = bytes
    if var rest = pending { all.writeBuffer(&rest) }
    pending = all
    connection.forgetParsed()
  }

  /// CLIENT KILL: nothing that has come is executed any more. The channel is closed next.
  func dropCommands() {
    pending = nil
    forwarding.end()
    connection.dropCommands()
  }

  // MARK: Bytes out

  private func write(_ buffer: ByteBuffer) {
    bytesSent &+= UInt64(buffer.readableBytes)
    worker.counters.sent(buffer.readableBytes)
    context?.write(wrapOutboundOut(buffer), promise: nil)
  }

  private func copy(_ bytes: UnsafeRawBufferPointer) -> ByteBuffer {
    var buffer = channel.allocator.buffer(capacity: bytes.count)
    buffer.writeBytes(bytes)
    return buffer
  }

  /// The connection leaves the clients: `answer` is its last reply, then `next` handles its bytes.
  func handOver(answer: ByteBuffer, to next: any ChannelHandler) {
    leave()
    channel.writeAndFlush(answer, promise: nil)
    do {
      try channel.pipeline.syncOperations.addHandler(next)
      channel.pipeline.syncOperations.removeHandler(self, promise: nil)
      if let rest = pending, rest.readableBytes > 0 { channel.pipeline.fireChannelRead(rest) }
    } catch {
      channel.close(promise: nil)
    }
  }
}

extension ClientHandler: ConnectionDriver {
  var isWritable: Bool { channel.isWritable }

  func send(_ bytes: UnsafeRawBufferPointer) {
    let buffer = copy(bytes)
    bytesSent &+= UInt64(bytes.count)
    worker.counters.sent(bytes.count)
    context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
  }
  func keep(_ bytes: UnsafeRawBufferPointer) { kept.append(copy(bytes)) }
  func sendKept() { if let buffer = kept.popFirst() { write(buffer) } }
  func flush() { context?.flush() }
  func dropKept() { _ = kept.popFirst() }
  func close() {
    pending = nil
    channel.close(promise: nil)
  }

  func readOn() {
    if !isReading {
      isReading = true
      channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }
    executePending()
  }

  func wake(at deadline: Tick) {
    let milliseconds = Int64(clamping: deadline.since(Clocks.monotonic))
    let this = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.eventLoop.scheduleTask(in: .milliseconds(min(milliseconds, 1 << 40) + 1)) { this.value.connection.retry() }
  }

  func failed(_ error: ProtocolError) { worker.server.protocolFailed(error, self) }

  // MARK: What goes to the master

  @inline(__always) var screensCommands: Bool { forwarding.mayForward(session) }
  func screen(_ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int) -> Screening {
    forwarding.screen(arguments, bytes, at: at, for: self)
  }
  var hasTakenCommands: Bool { forwarding.hasBatch }
  func batchEnds() {}
  func executed(bytes: Int) { forwarding.executed(bytes: bytes, for: connection) }
  func lookAtTaken(now: Tick) -> Bool { forwarding.look(now: now) }
  func lostMastership() { forwarding.lostMastership(with: pending?.readableBytes ?? 0) }
}
