import Commands
import Core
import LogStore
import NIOCore
import NIOPosix
import Node
import RESP
import Replication

/// Passes a client's writes to the master, and the reads behind them until this node has caught up.
///
/// One per client connection that needs it, on its event loop. While a batch is under way the client is suspended.
/// Nothing is sent twice unless the other node said that it had not done it. What is sent ends with LASTLSN, whose
/// answer becomes the session's `lastWrite`: while this node has applied less, reads go to the master as well.
final class Forwarder {
  /// nil when the client has gone.
  private var client: ClientHandler?
  let worker: LoopWorker
  var batch = ForwardBatch()
  private var suspension: PendingReply?
  private var phase = Phase.idle
  private var upstream: ForwardConnection?
  private var scanner = ReplyScanner(limits: Forwarder.replyLimits)

  private enum Phase {
    case idle
    /// Until a connection is there, or until the next attempt.
    case connecting
    /// The connection learns of the session; these replies are to come.
    case preparing(ForwardPreparation)
    /// Replies are to come.
    case sent
    /// The node refused writes: it is asked for its role, and with that for the master that it knows.
    case askingForMaster
  }

  // The present batch.
  private var deadline = Tick(milliseconds: 0)
  private var attempts = 0
  private var reason = "none is known"
  private var lastHeard = Tick(milliseconds: 0)
  private var lastLooked = Tick(milliseconds: 0)

  // The present reply.
  private var treatment: ForwardBatch.Treatment?
  private var line = ByteBuffer()
  /// For the client, not sent yet.
  private var out = ByteBuffer()
  private var isComplete = false
  /// What the node that was asked for its role says.
  private var role: ForwardRole?

  /// A node that is no master named another one.
  private var hint: (followed: NodeAddress, named: NodeAddress)?
  /// A write may have been done whose LSN is not known.
  private(set) var tokenIsUnknown = false
  /// WATCH was forwarded: what follows goes to the same connection, until EXEC, DISCARD or UNWATCH.
  var watching = false
  /// That connection is gone: EXEC answers that the keys may have changed.
  private(set) var watchIsLost = false
  var isWatching: Bool { watching || watchIsLost }

  /// How long a master is looked for, and how long a reply may take.
  static let attemptMilliseconds: UInt64 = 5000
  static let replyMilliseconds: UInt64 = 60_000
  /// The same when this node follows another master by now. A handover at the old one, which holds writes back, ends
  /// sooner.
  static let replyOfOldMasterMilliseconds: UInt64 = 20_000
  static let idleMilliseconds: UInt64 = 60_000
  private static let lineBytesMax = 64 << 10
  /// Values are handed on as they come, whatever their size.
  private static let replyLimits = ReplyLimits(replyBytesMax: 1 << 40, depthMax: 32, lineBytesMax: lineBytesMax)

  init(_ client: ClientHandler) {
    self.client = client
    worker = client.worker
  }

  private var server: ServerCore { worker.server }
  var isMaster: Bool { worker.loop.takesWrites && server.isMaster }

  /// A batch is on its way.
  var isUnderWay: Bool { if case .idle = phase { false } else { true } }

  /// Reads would not show what the client wrote.
  func isBehind(_ session: Session) -> Bool {
    tokenIsUnknown || session.lastWrite > worker.loop.executor.store.positions.applied.value
  }

  /// The client has gone.
  func close() {
    client = nil
    upstream?.close()
    upstream = nil
    phase = .idle
  }

  /// The client ended its WATCH without EXEC.
  func unwatch() {
    (watching, watchIsLost) = (false, false)
    if let upstream, upstream.watches { (upstream.watches, upstream.hasToUnwatch) = (false, true) }
  }

  /// The connection is of no use any more.
  func disconnect() {
    if upstream?.watches == true { watchIsLost = true }
    upstream?.close()
    upstream = nil
    scanner = ReplyScanner(limits: Forwarder.replyLimits)
    treatment = nil
    line = ByteBuffer()
  }

  // MARK: A batch

  /// Sends the batch; the client is held until `suspension` is over.
  func start(_ suspension: PendingReply) {
    self.suspension = suspension
    (attempts, reason) = (0, "none is known")
    deadline = Clocks.monotonic.advanced(by: Self.attemptMilliseconds)
    attempt()
  }

  private func attempt() {
    guard let client else { return }
    phase = .connecting
    if isMaster { return giveBack() }
    if watchIsLost, batch.transaction != nil { return answerTouched() }
    let now = Clocks.monotonic
    guard now < deadline else { return fail() }
    // Where the loops have not heard yet that this node is master, they soon will.
    guard case .slave(let followed) = server.role else { return tryAgain(reason) }
    if let upstream, upstream.isOpen, upstream.followed == followed || upstream.watches {
      return prepare(upstream, client.session, now)
    }
    disconnect()
    if watchIsLost, batch.transaction != nil { return answerTouched() }
    let address = hint.flatMap { $0.followed == followed ? $0.named : nil } ?? followed
    guard address != server.nodeConfiguration.address else {
      hint = nil
      return tryAgain("the master named is this node, which is none yet")
    }
    let connection = ForwardConnection(address, followed: followed, owner: self, now: now)
    upstream = connection
    connection.open(on: worker.eventLoop)
  }

  private func tryAgain(_ reason: String) {
    self.reason = reason
    phase = .connecting
    attempts += 1
    let delay = attempts == 1 ? 1 : min(200, Int64(10) << Int64(min(attempts, 5)))
    let this = NIOLoopBound(self, eventLoop: worker.eventLoop)
    worker.eventLoop.scheduleTask(in: .milliseconds(delay)) { this.value.attempt() }
  }

  func opened(_ connection: ForwardConnection) {
    guard connection === upstream, let client else { return connection.close() }
    closeWhenIdle(connection)
    guard connection.isOpen else { return failed(connection, "\(connection.address) closed the connection") }
    prepare(connection, client.session, Clocks.monotonic)
  }

  /// Tells the connection whatever of the session it does not know yet.
  private func prepare(_ connection: ForwardConnection, _ session: Session, _ now: Tick) {
    lastHeard = now
    let preparation = ForwardPreparation(
      connection, session, node: server.directory.node, password: server.nodeConfiguration.peerPassword)
    guard !preparation.isEmpty else { return send(connection, now) }
    phase = .preparing(preparation)
    connection.send(preparation.request, now: now)
  }

  private func prepared(_ connection: ForwardConnection, _ session: Session) {
    connection.isGreeted = true
    connection.protocolVersion = session.protocolVersion
    connection.database = session.database
    connection.level = session.level
    connection.hasToUnwatch = false
    send(connection, Clocks.monotonic)
  }

  private func send(_ connection: ForwardConnection, _ now: Tick) {
    asksForToken = batch.hasWrites || !connection.hasToken
    if batch.hasWatch { connection.watches = true }
    phase = .sent
    lastHeard = now
    connection.send(batch.wire(askingForToken: asksForToken), now: now)
  }
  private var asksForToken = false

  // MARK: Replies

  func received(_ bytes: inout ByteBuffer, from connection: ForwardConnection) {
    guard connection === upstream, let client else { return }
    lastHeard = Clocks.monotonic
    while bytes.readableBytes > 0 {
      if isComplete { return broken("\(connection.address) sent more than was asked for") }
      if treatment == nil {
        guard let first: UInt8 = bytes.getInteger(at: bytes.readerIndex), begin(first) else {
          return broken("\(connection.address) sent what was not asked for")
        }
      }
      let end: Int?
      do throws(MalformedReply) {
        end = try scan(bytes)
      } catch {
        return broken("\(connection.address) sent what is no reply")
      }
      guard var part = bytes.readSlice(length: end ?? bytes.readableBytes) else { return }
      switch treatment {
      case .pass: out.writeBuffer(&part)
      case .judge:
        guard line.readableBytes + part.readableBytes <= Self.lineBytesMax else {
          return broken("\(connection.address) sent a line that is too long")
        }
        line.writeBuffer(&part)
      case .drop, nil: break
      }
      if end != nil { ended(connection, client.session) }
      guard connection === upstream else { break }
    }
    flush()
    if isComplete { conclude() }
  }

  private func scan(_ bytes: ByteBuffer) throws(MalformedReply) -> Int? {
    let result = bytes.withUnsafeReadableBytes { bytes in
      Result { () throws(MalformedReply) in try scanner.scan(bytes) }
    }
    return try result.get()
  }

  /// False where no reply is expected.
  private func begin(_ first: UInt8) -> Bool {
    switch phase {
    case .idle, .connecting: return false
    case .preparing, .askingForMaster: treatment = .judge
    case .sent:
      if batch.overtakes(first) {
        var errors = batch.errorsForRefused()
        out.writeBuffer(&errors)
      }
      treatment = batch.treatment(of: first)
    }
    return true
  }

  private func ended(_ connection: ForwardConnection, _ session: Session) {
    let whole = treatment == .judge ? line : nil
    treatment = nil
    line = ByteBuffer()
    switch phase {
    case .idle, .connecting: break
    case .preparing(var preparation):
      switch preparation.answered(whole.flatMap(Self.value)?.serverError) {
      case .waits: phase = .preparing(preparation)
      case .done: prepared(connection, session)
      case .refused(let why):
        disconnect()
        tryAgain("\(connection.address) says: \(why)")
      }
    case .askingForMaster:
      role = whole.flatMap(Self.value).flatMap(ForwardRole.init) ?? .unknown
      isComplete = true
    case .sent:
      if batch.next == batch.items.count {
        takeToken(whole, connection, session)
        isComplete = true
        return
      }
      if var reply = batch.ended(whole) { out.writeBuffer(&reply) }
      if batch.next == batch.items.count, !asksForToken { isComplete = true }
    }
  }

  private static func value(_ line: ByteBuffer) -> RESPValue? {
    var decoder = ReplyDecoder()
    return line.withUnsafeReadableBytes { try? decoder.next($0)?.value }
  }

  private func takeToken(_ line: ByteBuffer?, _ connection: ForwardConnection, _ session: Session) {
    guard let line, let text = line.getString(at: line.readerIndex + 1, length: max(0, line.readableBytes - 3)),
      let lsn = UInt64(text)
    else {
      tokenIsUnknown = true
      return
    }
    session.lastWrite = lsn
    tokenIsUnknown = false
    connection.hasToken = true
  }

  /// Hands the client what has come for it, and stops reading if it does not read.
  private func flush() {
    guard let client, out.readableBytes > 0 else { return }
    let bytes = out
    out = ByteBuffer()
    bytes.withUnsafeReadableBytes { client.connection.sendForwarded($0) }
    pace()
  }

  private func pace() {
    guard let client, let upstream else { return }
    upstream.read(client.isWritable && client.connection.held.bytes <= worker.loop.outputBufferBytesMax)
  }

  // MARK: Ends

  private func conclude() {
    isComplete = false
    if let role {
      self.role = nil
      return learned(role)
    }
    if batch.refusedFrom == nil {
      if batch.transaction != nil {
        upstream?.watches = false
        watching = false
      }
      return finish()
    }
    guard let upstream else { return tryAgain("the node asked is no master") }
    phase = .askingForMaster
    upstream.send(ByteBuffer(bytes: RequestBuffer.encoded([["ROLE"]])), now: Clocks.monotonic)
  }

  /// The node that refused writes has told its role.
  private func learned(_ role: ForwardRole) {
    switch role {
    case .master where batch.isAborted:
      // It is master, and something else kept the transaction from being done: that is the answer.
      upstream?.watches = false
      watching = false
      var errors = batch.errorsForRefused()
      out.writeBuffer(&errors)
      flush()
      return finish()
    case .slave(let named):
      if let named, let followed = upstream?.followed { hint = (followed, named) }
    case .master, .unknown: break
    }
    disconnect()
    tryAgain("the node asked is no master")
  }

  private func finish(errors: Int = 0) {
    guard let client else { return }
    worker.counters.forwarded(batch.answered - errors, errors: errors)
    phase = .idle
    batch = ForwardBatch()
    isComplete = false
    let over = suspension
    suspension = nil
    over?.fulfil { _ in }
    client.connection.retry()
  }

  private func fail() {
    var (errors, count) = batch.errorsForUnsent(reason)
    out.writeBuffer(&errors)
    if batch.transaction != nil { unwatch() }
    flush()
    finish(errors: count)
  }

  /// The keys that the client watches may have changed: EXEC does nothing and says so.
  private func answerTouched() {
    guard let client else { return }
    if batch.items.first?.isSilent == false {
      out.writeString(client.session.protocolVersion >= 3 ? "_\r\n" : "*-1\r\n")
    }
    unwatch()
    flush()
    finish()
  }

  /// This node is master now: it executes what has not been answered itself.
  private func giveBack() {
    guard let client else { return }
    disconnect()
    if let transaction = batch.transaction {
      if watchIsLost || watching { return answerTouched() }
      client.session.transaction = transaction
    }
    if !watchIsLost { watching = false }
    if batch.isSkipped { client.session.replyMode = .skipping }
    client.giveBack(batch.unanswered)
    client.forwarding.givenBack()
    finish()
  }

  /// The connection does not open, or has ended.
  func failed(_ connection: ForwardConnection, _ reason: String) {
    guard connection === upstream else { return }
    switch phase {
    case .idle: disconnect()
    case .connecting, .preparing, .askingForMaster:
      disconnect()
      hint = nil
      tryAgain(reason)
    case .sent: broken(reason)
    }
  }

  /// The connection broke, or cannot be used any more, while replies were to come.
  private func broken(_ reason: String) {
    guard let client else { return }
    isComplete = false
    if treatment == .pass {
      // Half a reply may be with the client: there is no way to say anything more.
      flush()
      disconnect()
      close()
      client.channel.close(promise: nil)
      return
    }
    disconnect()
    guard case .sent = phase else {
      if case .idle = phase { return }
      return tryAgain(reason)
    }
    let isAnswered = batch.next == batch.items.count && batch.refusedFrom == nil
    if batch.hasWrites { tokenIsUnknown = true }
    if isAnswered {
      flush()
      return finish()
    }
    guard batch.hasUnansweredWrites else {
      flush()
      return tryAgain(reason)
    }
    var (errors, count) = batch.errorsForBroken()
    out.writeBuffer(&errors)
    if batch.transaction != nil { unwatch() }
    flush()
    finish(errors: count)
  }

  // MARK: Time

  /// The client may take more, or time has passed.
  func look(now: Tick) {
    pace()
    guard let upstream, now > lastLooked else { return }
    lastLooked = now
    let most: UInt64
    switch phase {
    case .idle, .connecting: return
    case .preparing, .askingForMaster: most = Self.attemptMilliseconds
    case .sent:
      let isOld = server.role != .slave(of: upstream.followed)
      most = isOld ? Self.replyOfOldMasterMilliseconds : Self.replyMilliseconds
    }
    // Nothing can be heard of what is not read.
    guard let client, client.channel.isWritable else {
      lastHeard = now
      return
    }
    if now.since(lastHeard) > most { broken("\(upstream.address) does not answer") }
  }

  private func closeWhenIdle(_ connection: ForwardConnection) {
    let this = NIOLoopBound(self, eventLoop: worker.eventLoop)
    let bound = NIOLoopBound(connection, eventLoop: worker.eventLoop)
    worker.eventLoop.scheduleTask(in: .milliseconds(Int64(Self.idleMilliseconds / 2))) {
      let (forwarder, connection) = (this.value, bound.value)
      guard connection === forwarder.upstream else { return }
      if case .idle = forwarder.phase, !forwarder.watching,
        Clocks.monotonic.since(connection.lastUsed) >= Self.idleMilliseconds
      {
        return forwarder.disconnect()
      }
      forwarder.closeWhenIdle(connection)
    }
  }
}
