import NIOCore
import RESP
import Sockets

/// Hands values to another server by RESTORE, and tells which of them it has taken.
///
/// One a MIGRATE, on its client's event loop. In this order: connect; AUTH and SELECT, whose answers are waited for, so that no
/// value goes to the wrong database; then every RESTORE. `completed` is called once, and a value counts as taken only when the
/// target has said so.
final class Migration: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  struct Target {
    let host: String
    let port: Int
    /// What may pass without anything being sent or answered.
    let patience: TimeAmount
    /// AUTH, if asked for, and SELECT.
    let greeting: [[[UInt8]]]
  }

  struct Result {
    /// For each value: whether the target has it.
    var isTaken: [Bool]
    /// The error for the client, without `-`; nil if all went well.
    var failure: String?
  }

  private enum State {
    case connecting
    /// So many answers to come before the values are sent.
    case greeting(left: Int)
    /// The value whose answer comes next.
    case restoring(Int)
    case over
  }

  private let target: Target
  private let values: ByteBuffer
  private let completed: (Result) -> Void
  private var state = State.connecting
  private var result: Result
  private var line: [UInt8] = []
  private var channel: (any Channel)?
  private var isWriting = false
  private var lastProgress = NIODeadline.now()

  /// An answer is a line; one that is longer is none.
  private static let lineBytesMax = 4096
  private static let writeBytes = 256 << 10

  /// - Parameters:
  ///   - values: a RESTORE for each.
  ///   - count: how many.
  init(to target: Target, values: ByteBuffer, count: Int, completed: @escaping (Result) -> Void) {
    self.target = target
    self.values = values
    self.completed = completed
    result = Result(isTaken: Array(repeating: false, count: count))
  }

  /// On the loop.
  func begin(on loop: any EventLoop) {
    let this = NIOLoopBound(self, eventLoop: loop)
    Dialer(connectTimeout: target.patience)
      .connect(host: target.host, port: target.port, on: loop) { channel in
        try channel.pipeline.syncOperations.addHandler(this.value)
      }
      .whenComplete { result in
        switch result {
        case .success(let channel): this.value.connected(channel)
        case .failure: this.value.end("IOERR error or timeout writing to target instance")
        }
      }
  }

  /// Ends it before anything was sent.
  func refuse(_ failure: String) { end(failure) }

  private func connected(_ channel: any Channel) {
    guard case .connecting = state else { return channel.close(promise: nil) }
    self.channel = channel
    lastProgress = .now()
    watch()
    var out = channel.allocator.buffer(capacity: 256)
    var greeting = RequestBuffer()
    for command in target.greeting { greeting.command(command) }
    out.writeBytes(greeting.bytes)
    state = .greeting(left: target.greeting.count)
    channel.writeAndFlush(out, promise: nil)
  }

  /// Ends it when nothing has moved for too long.
  private func watch() {
    guard let channel else { return }
    let this = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.eventLoop.scheduleTask(deadline: lastProgress + target.patience) {
      let migration = this.value
      if case .over = migration.state { return }
      if NIODeadline.now() >= migration.lastProgress + migration.target.patience { return migration.failed() }
      migration.watch()
    }
  }

  /// Piece by piece, so that progress is seen.
  private func send(from offset: Int) {
    guard let channel,
      let piece = values.getSlice(at: offset, length: min(Self.writeBytes, values.writerIndex - offset)),
      piece.readableBytes > 0
    else {
      isWriting = false
      return
    }
    isWriting = true
    let this = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.writeAndFlush(piece).whenSuccess {
      this.value.lastProgress = .now()
      this.value.send(from: offset + piece.readableBytes)
    }
  }

  // MARK: Answers

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    lastProgress = .now()
    for byte in unwrapInboundIn(data).readableBytesView {
      if case .over = state { return }
      guard byte == UInt8(ascii: "\n") else {
        guard line.count < Self.lineBytesMax else { return failed() }
        line.append(byte)
        continue
      }
      answered(String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line[...], as: UTF8.self))
      line.removeAll(keepingCapacity: true)
    }
  }

  private func answered(_ answer: String) {
    // AUTH, SELECT and RESTORE answer with a word or an error.
    let isError = answer.hasPrefix("-")
    guard isError || answer.hasPrefix("+") else { return failed() }
    if isError, result.failure == nil {
      result.failure = "ERR Target instance replied with error: \(answer.dropFirst())"
    }
    switch state {
    case .greeting(let left):
      if isError { return end(nil) }
      guard left == 1 else { return state = .greeting(left: left - 1) }
      state = .restoring(0)
      send(from: values.readerIndex)
    case .restoring(let index):
      result.isTaken[index] = !isError
      guard index + 1 == result.isTaken.count else { return state = .restoring(index + 1) }
      end(nil)
    case .connecting, .over: break
    }
  }

  func channelInactive(context: ChannelHandlerContext) { failed() }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  // MARK: The end

  private func failed() { end("IOERR error or timeout \(isWriting ? "writing" : "reading") to target instance") }

  private func end(_ failure: String?) {
    if case .over = state { return }
    state = .over
    if result.failure == nil { result.failure = failure }
    channel?.close(promise: nil)
    channel = nil
    completed(result)
  }
}
