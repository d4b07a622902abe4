import Core
import LogStore
import NIOCore
import NIOPosix
import Node
import Replication

/// Fetches single records from another node, one command at a time, over a connection of its own. Blocks: for background
/// threads.
final class PeerRecords {
  struct Failure: Error, CustomStringConvertible { let description: String }

  static let bytesPerCall = 1 << 20
  private static let answerMilliseconds: Int64 = 30_000
  private let channel: any Channel
  private let handler: PeerReplies
  /// What came back: bodies and records.
  private(set) var bytesReceived = 0

  init(_ address: NodeAddress, password: String?) throws {
    let handler = PeerReplies()
    self.handler = handler
    channel = try ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(5))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler) }
      }
      .connect(host: address.host, port: Int(address.port)).wait()
    if let password { _ = try ask(["AUTH", password]) }
  }

  deinit { channel.close(promise: nil) }

  /// The peer's records with these LSNs, as many as it has.
  func records(_ ranges: [ClosedRange<LSN>], lineage: String) throws -> [LSN: [UInt8]] {
    var found: [LSN: [UInt8]] = [:]
    for range in ranges {
      var from = range.lowerBound
      while from <= range.upperBound {
        let answer = try ask(["MS_FETCH_RECORDS", lineage, from.description, range.upperBound.description])
        for bytes in answer.records {
          // The LSN stands at byte 16; everything is verified before it is used.
          guard bytes.count >= 32 else { throw Failure(description: "the peer sent a record of \(bytes.count) bytes") }
          let lsn = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[16 + $1]) << (8 * UInt64($1)) }
          guard range.contains(LSN(lsn)) else {
            throw Failure(description: "the peer sent LSN \(lsn), which was not asked for")
          }
          found[LSN(lsn)] = bytes
        }
        guard answer.next > from else { break }
        from = answer.next
      }
    }
    return found
  }

  /// Sends one command and waits for its answer.
  func ask(_ arguments: [String]) throws -> PeerReplies.Answer {
    let promise = channel.eventLoop.makePromise(of: PeerReplies.Answer.self)
    channel.eventLoop.execute { [channel, handler] in
      handler.expect(promise)
      channel.writeAndFlush(ByteBuffer(bytes: HandshakeDecoder.encode(arguments)), promise: nil)
    }
    let timeout = channel.eventLoop.scheduleTask(in: .milliseconds(Self.answerMilliseconds)) { [channel] in
      channel.close(promise: nil)
    }
    defer { timeout.cancel() }
    let answer = try promise.futureResult.wait()
    bytesReceived += answer.records.reduce(0) { $0 + $1.count }
    return answer
  }
}

/// Reads one answer at a time: a status, an error, or an array of a number and records. What is announced is bounded.
final class PeerReplies: ChannelInboundHandler, @unchecked Sendable {
  // Safe to share: touched on the channel's loop only.
  typealias InboundIn = ByteBuffer
  struct Answer: Sendable {
    var next = LSN.none
    var records: [[UInt8]] = []
  }
  private static let recordsMax = 1 << 17
  private static let recordBytesMax = (512 << 20) + (1 << 17)
  private var unread = ByteBuffer()
  private var waiting: EventLoopPromise<Answer>?
  /// Nothing is looked at before so many bytes are there.
  private var wanted = 0
  private var isClosed = false

  func expect(_ promise: EventLoopPromise<Answer>) {
    if isClosed { return promise.fail(PeerRecords.Failure(description: "the connection is closed")) }
    waiting = promise
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    unread.writeBuffer(&bytes)
    guard unread.readableBytes >= wanted, let promise = waiting else { return }
    do {
      guard let answer = try next() else { return }
      wanted = 0
      waiting = nil
      promise.succeed(answer)
    } catch {
      waiting = nil
      promise.fail(error)
      context.close(promise: nil)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    isClosed = true
    waiting?.fail(PeerRecords.Failure(description: "the node closed the connection or did not answer in time"))
    waiting = nil
  }

  /// The answer, and its bytes are taken; nil while bytes are missing.
  private func next() throws -> Answer? {
    let start = unread.readerIndex
    guard let head = try line() else { return rewind(start) }
    switch head.first {
    case UInt8(ascii: "+"): return Answer()
    case UInt8(ascii: "-"): throw PeerRecords.Failure(description: String(decoding: head.dropFirst(), as: UTF8.self))
    case UInt8(ascii: "*"): break
    default: throw PeerRecords.Failure(description: "not an answer of a Paceline node")
    }
    let count = try number(head, upTo: Self.recordsMax)
    guard let second = try line() else { return rewind(start) }
    guard count > 0, second.first == UInt8(ascii: ":") else {
      throw PeerRecords.Failure(description: "not an answer of a Paceline node")
    }
    var answer = Answer()
    answer.next = LSN(UInt64(try number(second, upTo: .max)))
    for _ in 1..<count {
      guard let head = try line() else { return rewind(start) }
      guard head.first == UInt8(ascii: "$") else {
        throw PeerRecords.Failure(description: "not an answer of a Paceline node")
      }
      let bytes = try number(head, upTo: Self.recordBytesMax)
      guard unread.readableBytes >= bytes + 2, let record = unread.readBytes(length: bytes) else {
        wanted = unread.readerIndex - start + bytes + 2
        return rewind(start)
      }
      unread.moveReaderIndex(forwardBy: 2)
      answer.records.append(record)
    }
    unread.discardReadBytes()
    return answer
  }

  private func rewind(_ start: Int) -> Answer? {
    unread.moveReaderIndex(to: start)
    return nil
  }

  private func number(_ line: [UInt8], upTo most: Int) throws -> Int {
    guard let value = Int(String(decoding: line.dropFirst(), as: UTF8.self)), value >= 0, value <= most else {
      throw PeerRecords.Failure(description: "a number out of range in an answer")
    }
    return value
  }

  private func line() throws -> [UInt8]? {
    let view = unread.readableBytesView
    guard let end = view.firstIndex(of: 10) else {
      if view.count > 4096 { throw PeerRecords.Failure(description: "a line of more than 4096 bytes") }
      return nil
    }
    let count = end - view.startIndex + 1
    guard count >= 2, let bytes = unread.readBytes(length: count) else {
      throw PeerRecords.Failure(description: "an empty line in an answer")
    }
    return Array(bytes.dropLast(2))
  }
}
