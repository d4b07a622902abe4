// Raw memory: commands are parsed where the received bytes lie.
import Commands
import Core
import LogStore
import RESP

/// One client's connection without its socket: bytes in, commands executed, replies out when they are good.
///
/// One a connection, on its loop; a `ConnectionDriver` brings the bytes and takes the replies. Bounded: unread bytes by the
/// driver, with `isOversize`; unsent replies by back-pressure (a client that does not read is not read from); commands that wait
/// to one.
/// Invariant: the driver keeps bytes for exactly the entries of `held`, in their order.
package final class ClientConnection {
  package let session: Session
  package let loop: ConnectionLoop
  /// nil when the connection is gone, or somebody else's.
  var driver: (any ConnectionDriver)?
  package var limits: RequestLimits
  package internal(set) var state = State.open
  package internal(set) var held = HeldReplies()
  /// Where it stands in the lists of its loop; kept by the loop.
  var place = ConnectionLoop.Place()
  package private(set) var lastActive: Tick
  private var parser = RequestParser()
  private var arguments = ArgumentList()
  /// Bytes of the present command's arguments: while it is executed, and while it waits.
  package var argumentBytes: Int { isExecuting || isSuspended ? arguments.byteCount : 0 }
  /// In the executor's buffer.
  private var replies = 0
  /// True while commands are executed: a driver may bring more bytes in the middle of it, from a client that is gone.
  private var isExecuting = false

  package enum State {
    /// Commands are executed as they come.
    case open
    /// One command waits; none behind it is executed.
    case suspended(Suspension)
    /// The same: a handover or CLIENT PAUSE holds the next command back.
    case paused(asMaster: Bool)
    /// No byte of it is looked at any more.
    case closed
  }

  /// A reply buffer larger than this is sent before the batch goes on.
  private static let flushBytes = 256 << 10

  package init(_ session: Session, on loop: ConnectionLoop, limits: RequestLimits) {
    self.session = session
    self.loop = loop
    self.limits = limits
    lastActive = loop.host.tick
  }

  /// The driver is there. Until `left`, the two hold each other.
  package func begin(_ driver: any ConnectionDriver) { self.driver = driver }

  /// The connection is gone, or becomes somebody else's.
  package func left() {
    state = .closed
    loop.forget(self)
    driver = nil
  }

  /// The process that the driver belonged to has ended: nothing is told, only the hold on each other goes.
  package func letGo() { driver = nil }

  package var suspension: Suspension? {
    switch state {
    case .suspended(let why): why
    case .paused: .paused
    case .open, .closed: nil
    }
  }
  @inline(__always) package var isSuspended: Bool {
    switch state {
    case .suspended, .paused: true
    case .open, .closed: false
    }
  }
  @inline(__always) package var isClosed: Bool { if case .closed = state { true } else { false } }
  /// Bytes that come are of no use.
  package var takesNothing: Bool { isClosed || session.closing || isExecuting }

  // MARK: Bytes in

  /// Executes the whole commands in `bytes`; returns how many bytes they took. The rest comes again, with what is behind it:
  /// when there is more, or after `ConnectionDriver.readOn`.
  package func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    if takesNothing { return bytes.count }
    guard case .open = state, let start = bytes.baseAddress else { return 0 }
    return execute(start, bytes.count)
  }

  /// No command is whole before so many bytes are there.
  package var bytesWantedAtLeast: Int { parser.bytesWantedAtLeast }

  /// So many bytes are left: that is more than a command may have. The connection ends then.
  package func refuseOversize(unread: Int) {
    guard case .open = state, unread > limits.commandBytesMax else { return }
    finish("ERR Protocol error: too big request (client-query-buffer-limit)")
  }

  /// Bytes are put before those that were left: they are parsed from their beginning.
  package func forgetParsed() { parser.reset() }

  // MARK: Commands

  private func execute(_ start: UnsafeRawPointer, _ count: Int) -> Int {
    guard let driver else { return count }
    let executor = loop.executor
    // What was not good at the start of the batch never will be.
    let logIsLost = !executor.store.isWritable && executor.store.isClosedForGood
    isExecuting = true
    defer { isExecuting = false }
    let screens = driver.screensCommands
    loop.host.beginBatch(forwarding: screens)
    executor.level = loop.level.joined(session.level)
    lastActive = executor.tick
    executor.reply.removeAll(keepingCapacity: true)
    executor.reply.protocolVersion = session.protocolVersion
    var at = 0
    batch: while at < count {
      switch parser.next(start + at, count: count - at, limits: limits, into: &arguments) {
      case .command(let consumed):
        let rest = at + consumed
        if _slowPath(screens) {
          switch driver.screen(arguments, UnsafeRawBufferPointer(start: start + at, count: consumed), at: at) {
          case .execute: break
          case .taken:
            at += consumed
            continue
          case .answered:
            replies += 1
            at += consumed
            continue
          case .wait: break batch
          case .paused:
            hold(.paused)
            break batch
          }
        }
        let isPipeline = rest < count && session.authenticated && !screens
        if isPipeline {
          loop.lookAhead.fill(start + rest, count: count - rest, limits: limits)
          loop.lookAhead.prefetch(arguments, executor.store, database: session.database)
        }
        guard perform(arguments, bytes: consumed, at: &at, logIsLost: logIsLost) else { break batch }
        guard isPipeline else { continue }
        for i in 0..<loop.lookAhead.count {
          guard loop.lookAhead.arguments(i, { perform($0, bytes: $1, at: &at, logIsLost: logIsLost) }) else {
            break batch
          }
        }
      case .nothing(let consumed): at += consumed
      case .incomplete: break batch
      case .failed(let error):
        if driver.hasTakenCommands {
          // Behind their replies.
          parser.reset()
          break batch
        }
        driver.failed(error)
        // Whoever is turned away without a word is not answered before either.
        if error.isSilent { executor.reply.removeAll(keepingCapacity: true) }
        executor.reply.protocolError(error)
        session.closing = true
        break batch
      }
    }
    if _slowPath(screens) { driver.batchEnds() }
    loop.host.endBatch()
    sendReplies()
    driver.executed(bytes: at)
    limits.authenticated = session.authenticated
    // Whoever waits for an answer gets that first.
    if session.closing, !isSuspended { closeAfterReplies() }
    return at
  }

  /// Executes one command and moves `at` behind it. False when no further command may be executed now.
  @inline(__always)
  private func perform(_ arguments: borrowing ArgumentList, bytes: Int, at: inout Int, logIsLost: Bool) -> Bool {
    let executor = loop.executor
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
      guard let driver, !isClosed else { return false }
      if !driver.isWritable || held.bytes > loop.outputBufferBytesMax {
        hold(.time(until: executor.tick))
        return false
      }
    }
    return true
  }

  // MARK: Replies

  /// Turns the executor's replies into bytes on the way, or into held ones.
  func sendReplies() {
    let executor = loop.executor
    guard executor.reply.count > 0 else { return }
    send(executor.reply.bytes)
    executor.reply.removeAll(retainingAtMost: 1 << 20)
  }

  /// Whole replies, behind those that wait.
  package func send(_ bytes: UnsafeRawBufferPointer) {
    let count = replies
    replies = 0
    if held.isEmpty, session.gate.isPassed(loop.host.good) {
      session.gate = Gate()
      driver?.send(bytes)
    } else {
      held.append(session.gate, bytes: bytes.count, replies: max(1, count), since: loop.host.tick)
      driver?.keep(bytes)
      loop.wait(self)
    }
  }

  /// Replies of the master: good as they are, but behind those that wait here.
  package func sendForwarded(_ bytes: UnsafeRawBufferPointer) {
    guard !held.isEmpty else {
      driver?.send(bytes)
      return
    }
    held.append(Gate(), bytes: bytes.count, replies: 1, since: loop.host.tick, isForwarded: true)
    driver?.keep(bytes)
    loop.wait(self)
  }
}
