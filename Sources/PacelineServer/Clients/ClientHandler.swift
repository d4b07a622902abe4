// Raw memory: commands are parsed where the socket's bytes lie.
import Commands
import Core
import LogStore
import NIOCore
import NIOPosix
import RESP

/// One client connection: bytes in, commands executed, replies out when they are good.
///
/// Lives on its event loop. Bounded: unparsed bytes by the query buffer limit, unsent replies by back-pressure (a client
/// that does not read is not read from), suspended commands to one.
final class ClientHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  let worker: LoopWorker
  let session: Session
  let channel: any Channel
  let createdAt: Tick
  private(set) var lastActive: Tick
  /// Set while the handler is in its pipeline: writing from here is a shorter way than from the channel.
  private(set) var context: ChannelHandlerContext?
  var parser = RequestParser()
  private var arguments = ArgumentList()
  var limits: RequestLimits
  /// Bytes of an incomplete command, and of commands not executed while the connection is suspended.
  var pending: ByteBuffer?
  /// Replies whose gate is not good yet, oldest first.
  var held: CircularBuffer<HeldReplies> = .init(initialCapacity: 2)
  /// In the executor's buffer.
  var replies = 0
  var heldBytes = 0
  var suspension: Suspension?
  /// As long as it owes a password.
  var stranger = Stranger()
  /// What goes to the master; there from the first time on.
  var forward: Forwarder?
  /// The forwarder's batch, to be sent when what is behind it is kept.
  var forwardToStart: PendingReply?
  /// So many bytes of `pending` came while a handover held writes back: their writes go to the new master.
  var graceBytes = 0
  var pausedAsMaster = false
  var isSuspended: Bool { suspension != nil }
  var heldReplies: Int { held.count }
  var isReading = true
  /// On the worker's list of those whose replies wait; kept by the worker.
  var isWaiting = false
  /// On the worker's list of those that have had their turn; kept by the worker.
  var isBehindOthers = false
  var closed = false
  /// True while commands are executed. When a write fails, NIO hands over what is still in the socket before it returns:
  /// a reply to a client that is gone brings `channelRead` back in the middle of `execute`.
  private var isExecuting = false
  /// The log failed: what was not good at the start of the batch never will be.
  private var logIsLost = false
  var bytesReceived: UInt64 = 0
  var bytesSent: UInt64 = 0

  /// A reply buffer larger than this is sent before the batch goes on.
  private static let flushBytes = 256 << 10

  init(worker: LoopWorker, session: Session, channel: any Channel, limits: RequestLimits) {
    self.worker = worker
    self.session = session
    self.channel = channel
    self.limits = limits
    createdAt = Clocks.monotonic
    lastActive = createdAt
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelActive(context: ChannelHandlerContext) {
    worker.clients[session.id] = self
    worker.server.accepted(self)
  }

  func channelInactive(context: ChannelHandlerContext) {
    closed = true
    stranger.left(worker.server.service.strangers)
    endForwarding()
    worker.forget(self)
    worker.server.closed(self)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  // MARK: Bytes in

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    bytesReceived &+= UInt64(buffer.readableBytes)
    worker.counters.received(buffer.readableBytes)
    // Who sent the rest reads no replies any more.
    if closed || session.closing || isExecuting { return }
    defer { countStranger() }
    if pending != nil {
      pending!.writeBuffer(&buffer)
      guard suspension == nil else { return holdBack() }
      executePending()
    } else if suspension == nil {
      let consumed = buffer.withUnsafeReadableBytes { execute($0) }
      if consumed < buffer.readableBytes {
        buffer.moveReaderIndex(forwardBy: consumed)
        keep(&buffer)
      }
      startForwarding()
    } else {
      keep(&buffer)
      holdBack()
    }
  }

  private func keep(_ buffer: inout ByteBuffer) {
    guard !session.closing else { return }
    let wanted = max(buffer.readableBytes, min(parser.bytesWantedAtLeast, 1 << 20))
    var kept = channel.allocator.buffer(capacity: wanted)
    kept.writeBuffer(&buffer)
    pending = kept
    refuseOversize()
  }

  func executePending() {
    guard var buffer = pending else { return }
    defer {
      startForwarding()
      countStranger()
    }
    pending = nil
    let consumed = buffer.withUnsafeReadableBytes { execute($0) }
    buffer.moveReaderIndex(forwardBy: consumed)
    if session.closing { return }
    if buffer.readableBytes == 0 { return }
    if buffer.readerIndex > 64 << 10 { buffer.discardReadBytes() }
    let wanted = min(parser.bytesWantedAtLeast, limits.commandBytesMax)
    if wanted > buffer.readableBytes + buffer.writableBytes {
      buffer.reserveCapacity(minimumWritableBytes: wanted - buffer.readableBytes)
    }
    pending = buffer
    refuseOversize()
  }

  /// What a connection that owes a password holds counts for all of them together.
  @inline(__always)
  private func countStranger() {
    if _fastPath(session.authenticated && !stranger.holdsBytes) { return }
    countStrangersBytes()
  }

  private func refuseOversize() {
    guard suspension == nil, let pending, pending.readableBytes > limits.commandBytesMax else { return }
    finish("ERR Protocol error: too big request (client-query-buffer-limit)")
  }

  // MARK: Commands

  /// Executes the whole commands in `bytes`; returns how many bytes they took.
  private func execute(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard let start = bytes.baseAddress else { return 0 }
    let executor = worker.executor
    logIsLost = !executor.store.isWritable && executor.store.isClosedForGood
    isExecuting = true
    defer { isExecuting = false }
    let forwards = mayForward
    worker.beginBatch(forwarding: forwards && (worker.forwardsWrites || graceBytes > 0))
    executor.level = worker.level.joined(session.level)
    lastActive = executor.tick
    executor.reply.removeAll(keepingCapacity: true)
    executor.reply.protocolVersion = session.protocolVersion
    var at = 0
    loop: while at < bytes.count {
      switch parser.next(start + at, count: bytes.count - at, limits: limits, into: &arguments) {
      case .command(let consumed):
        let rest = at + consumed
        if _slowPath(forwards) {
          switch forwarding(arguments, UnsafeRawBufferPointer(start: start + at, count: consumed), at: at) {
          case .local: break
          case .added, .answered:
            at += consumed
            continue
          case .wait: break loop
          case .paused:
            hold(.paused)
            break loop
          }
        }
        let isPipeline = rest < bytes.count && session.authenticated && !forwards
        if isPipeline {
          worker.lookAhead.fill(start + rest, count: bytes.count - rest, limits: limits)
          worker.lookAhead.prefetch(arguments, executor.store, database: session.database)
        }
        guard perform(arguments, bytes: consumed, at: &at) else { break loop }
        guard isPipeline else { continue }
        for i in 0..<worker.lookAhead.count {
          guard worker.lookAhead.arguments(i, { perform($0, bytes: $1, at: &at) }) else { break loop }
        }
      case .nothing(let consumed): at += consumed
      case .incomplete: break loop
      case .failed(let error):
        if forward?.batch.isEmpty == false {
          // Behind the replies of the master.
          parser.reset()
          break loop
        }
        worker.server.protocolFailed(error, self)
        // Whoever is turned away without a word is not answered before either.
        if error.isSilent { executor.reply.removeAll(keepingCapacity: true) }
        executor.reply.protocolError(error)
        session.closing = true
        break loop
      }
    }
    worker.endBatch()
    sendReplies()
    graceBytes = max(0, graceBytes - at)
    holdForwarded()
    limits.authenticated = session.authenticated
    // Whoever waits for an answer gets that first.
    if session.closing, suspension == nil { closeAfterReplies() }
    return at
  }

  /// Executes one command and moves `at` behind it. False when no further command may be executed now.
  @inline(__always)
  private func perform(_ arguments: borrowing ArgumentList, bytes: Int, at: inout Int) -> Bool {
    let executor = worker.executor
    let begin = executor.reply.count
    if case .suspended(let why) = executor.execute(arguments, session) {
      // A paused command stays where it is.
      if !why.isBeforeCommand { at += bytes }
      hold(why)
      return false
    }
    at += bytes
    if executor.reply.count > begin { replies += 1 }
    if _slowPath(logIsLost) { refuseUncertain(from: begin) }
    if session.closing { return false }
    // The next command may be one that only the password just given allows.
    if _slowPath(!limits.authenticated) { limits.authenticated = session.authenticated }
    if _slowPath(executor.reply.count > Self.flushBytes) {
      sendReplies()
      if closed { return false }
      if !channel.isWritable || heldBytes > worker.outputBufferBytesMax {
        hold(.time(until: executor.tick))
        return false
      }
    }
    return true
  }

  /// Turns the executor's replies into bytes on the way, or into held ones.
  func sendReplies() {
    let executor = worker.executor
    guard executor.reply.count > 0 else { return }
    var buffer = channel.allocator.buffer(capacity: executor.reply.count)
    buffer.writeBytes(executor.reply.bytes)
    executor.reply.removeAll(retainingAtMost: 1 << 20)
    send(buffer)
  }

  func send(_ buffer: ByteBuffer) {
    let count = replies
    replies = 0
    if held.isEmpty, session.gate.isPassed(worker.server.good(of: worker.executor.store)) {
      session.gate = Gate()
      bytesSent &+= UInt64(buffer.readableBytes)
      worker.counters.sent(buffer.readableBytes)
      context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    } else {
      heldBytes += buffer.readableBytes
      held.append(HeldReplies(gate: session.gate, bytes: buffer, count: max(1, count), since: Clocks.monotonic))
      worker.wait(self)
    }
  }

  /// Sends the held replies that are good now. Returns true when none is left.
  func release(good: Gate) -> Bool {
    var sent = false
    while let first = held.first, first.gate.isPassed(good) {
      held.removeFirst()
      heldBytes -= first.bytes.readableBytes
      bytesSent &+= UInt64(first.bytes.readableBytes)
      worker.counters.sent(first.bytes.readableBytes)
      context?.write(wrapOutboundOut(first.bytes), promise: nil)
      sent = true
    }
    if held.isEmpty, session.gate.isPassed(good) { session.gate = Gate() }
    if sent { context?.flush() }
    if held.isEmpty, session.closing { channel.close(promise: nil) }
    return held.isEmpty
  }

  /// Answers replies that have waited for slaves too long: the writes they rest on are kept and may still become good.
  func timeOut(_ now: Tick, milliseconds: UInt64, good: Gate) {
    answerHeld(
      "-SYNCTIMEOUT Fullsync wait timeout: slaves did not confirm in \(milliseconds) ms; the write is on this node and may "
        + "still become good\r\n"
    ) { !$0.isForwarded && $0.gate.durable <= good.durable && now.since($0.since) >= milliseconds }
  }

  /// What is good by now leaves; the rest is answered with an error, because what it tells of may be gone. What the master
  /// answered is not touched.
  func endHeld(good: Gate) {
    while !release(good: good) {
      answerHeld(
        "-UNCERTAIN this node took over another log while this waited for slaves: only the master tells whether what this "
          + "rests on is kept\r\n"
      ) { !$0.gate.isPassed(good) }
    }
    session.gate = Gate()
  }

  /// Answers held replies with an error each, from the oldest on as long as they are to be.
  private func answerHeld(_ text: @autoclosure () -> String, while isMeant: (HeldReplies) -> Bool) {
    while let first = held.first, isMeant(first) {
      held.removeFirst()
      heldBytes -= first.bytes.readableBytes
      let error = text()
      var errors = channel.allocator.buffer(capacity: first.count * error.utf8.count)
      for _ in 0..<first.count { errors.writeString(error) }
      bytesSent &+= UInt64(errors.readableBytes)
      worker.counters.sent(errors.readableBytes)
      context?.writeAndFlush(wrapOutboundOut(errors), promise: nil)
    }
    // What comes next and rests on good data does not wait for these.
    if held.isEmpty {
      session.gate = Gate()
      if session.closing { channel.close(promise: nil) }
    }
  }

  private static let uncertain =
    "UNCERTAIN the log could not be written: only a restart tells whether what this rests on is kept"

  /// The reply of a command that rests on writes which the failed log may have lost is not kept for ever.
  private func refuseUncertain(from begin: Int) {
    let executor = worker.executor
    guard held.isEmpty, !session.gate.isPassed(worker.server.good(of: executor.store)) else { return }
    session.gate = Gate()
    guard executor.reply.count > begin else { return }
    executor.reply.truncate(to: begin)
    executor.reply.error(Self.uncertain)
  }

  /// The log failed before the held replies became good, and it never goes on: whether their writes survive is known
  /// only after the restart. The client is told so, and the connection ends.
  func abandonHeld() {
    guard !held.isEmpty else { return }
    held.removeAll()
    heldBytes = 0
    session.gate = Gate()
    session.closing = true
    pending = nil
    var last = channel.allocator.buffer(capacity: 128)
    last.writeString("-\(Self.uncertain)\r\n")
    context?.writeAndFlush(wrapOutboundOut(last), promise: nil)
    channel.close(promise: nil)
  }

  func closeAfterReplies() {
    pending = nil
    if held.isEmpty { channel.close(promise: nil) }
  }

  /// Ends the connection with an error.
  func finish(_ error: String) {
    worker.executor.reply.removeAll(keepingCapacity: true)
    worker.executor.reply.error(error)
    session.closing = true
    sendReplies()
    closeAfterReplies()
  }
}

/// Replies that wait until what they tell of is good.
struct HeldReplies {
  let gate: Gate
  let bytes: ByteBuffer
  let count: Int
  let since: Tick
  var isForwarded = false
}
