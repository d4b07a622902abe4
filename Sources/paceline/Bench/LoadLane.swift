// Raw memory: replies are told apart where the socket's bytes lie.

import NIOCore
import PacelineClient
import RESP
import Sockets

/// One client's connection to one node, over all its reconnections.
///
/// Owned by its `LoadClient`, used on one event loop only.
/// Invariant: `inFlight` is 0 unless `state` is `.up`, and `out` is empty between two calls from outside.
final class LoadLane: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  enum State {
    case down(retryAt: NIODeadline)
    case connecting
    case authenticating(ChannelHandlerContext)
    case up(ChannelHandlerContext)
  }

  let node: Int
  private(set) var state = State.down(retryAt: .now())
  /// Requests sent whose replies are still to come.
  private(set) var inFlight = 0
  /// Requests of the batch that is being put together.
  var out = ByteBuffer()
  var outCount = 0
  private var scanner = ReplyScanner()
  // The loop owns the clients and these own their lanes: neither reference outlives its target.
  private unowned let loop: LoadLoop
  private unowned let client: LoadClient

  init(node: Int, client: LoadClient, loop: LoadLoop) {
    self.node = node
    self.client = client
    self.loop = loop
  }

  var isUp: Bool {
    if case .up = state { return true }
    return false
  }

  // MARK: Sending

  /// Sends the batch in `out`. The buffer is used again: NIO has let go of it by then, unless the socket is full.
  @inline(__always) func flush() {
    guard outCount > 0, case .up(let context) = state else { return }
    inFlight += outCount
    outCount = 0
    context.writeAndFlush(wrapOutboundOut(out), promise: nil)
    out.clear()
  }

  // MARK: Receiving

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    var done: UInt64 = 0
    var hits: UInt64 = 0
    var misses: UInt64 = 0
    var errors: UInt64 = 0
    var readOnly = false
    var isMalformed = false
    var isLetIn = true
    buffer.withUnsafeReadableBytes { bytes in
      do throws(MalformedReply) {
        var at = 0
        while let byteCount = try scanner.scan(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
          switch scanner.kind {
          case .line: done += 1
          case .string: hits += 1
          case .null: misses += 1
          case .aggregate: isMalformed = true
          case .error(let code):
            errors += 1
            if code == .readOnly { readOnly = true }
            isLetIn = Login.isAccepted(scanner.kind)
            loop.keepFirstError(reply: bytes[at..<at + byteCount])
          }
          at += byteCount
        }
      } catch {
        isMalformed = true
      }
    }
    if isMalformed { return context.close(promise: nil) }

    if case .authenticating = state {
      guard done + errors == 1, isLetIn else { return context.close(promise: nil) }
      state = .up(context)
      loop.laneIsUp(client)
      return
    }
    let replies = Int(done + hits + misses + errors)
    guard replies > 0 else { return }
    guard replies <= inFlight else { return context.close(promise: nil) }
    inFlight -= replies
    if readOnly { loop.masterIsInDoubt = true }
    loop.replied(client, node: node, writes: done, hits: hits, misses: misses, errors: errors)
  }

  // MARK: Coming and going

  func connect() {
    guard case .down = state else { return }
    state = .connecting
    let address = loop.nodes[node]
    let here = NIOLoopBound(self, eventLoop: loop.eventLoop)
    Dialer(connectTimeout: .seconds(BenchPlan.replyTimeoutSeconds), receiveBytes: 64 << 10)
      .connect(host: address.host, port: address.port, on: loop.eventLoop) { channel in
        try channel.pipeline.syncOperations.addHandler(here.value)
      }
      .whenFailure { error in here.value.failedToConnect(error) }
  }

  private func failedToConnect(_ error: any Error) {
    loop.keepFirstError("cannot connect to \(loop.nodes[node]): \(SocketFailure.describe(error))")
    goDown()
  }

  func channelActive(context: ChannelHandlerContext) {
    scanner = ReplyScanner()
    guard let password = loop.password else {
      state = .up(context)
      loop.laneIsUp(client)
      return
    }
    state = .authenticating(context)
    let login = RequestBuffer.encoded([Login.command(password: password)])
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: login)), promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) { goDown() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    loop.keepFirstError("\(loop.nodes[node]): \(SocketFailure.describe(error))")
    context.close(promise: nil)
  }

  private func goDown() {
    let lost = inFlight
    inFlight = 0
    outCount = 0
    out.clear()
    state = .down(retryAt: .now() + .milliseconds(BenchPlan.reconnectMilliseconds))
    loop.lost(client, node: node, requests: lost)
  }

  func close() {
    switch state {
    case .up(let context), .authenticating(let context): context.close(promise: nil)
    case .down, .connecting: break
    }
  }
}
