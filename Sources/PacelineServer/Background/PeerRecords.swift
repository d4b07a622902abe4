import Core
import LogStore
import NIOCore
import NIOPosix
import Node
import RESP
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
      channel.writeAndFlush(ByteBuffer(bytes: RequestBuffer.encoded([arguments])), promise: nil)
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

/// Reads one answer at a time: a status, an error, or an array of a number and records.
final class PeerReplies: ChannelInboundHandler, @unchecked Sendable {
  // Safe to share: touched on the channel's loop only.
  typealias InboundIn = ByteBuffer
  struct Answer: Sendable {
    var next = LSN.none
    var records: [[UInt8]] = []
  }
  /// One record of the greatest size, and the others of a call.
  private static let limits = ReplyLimits(replyBytesMax: (512 << 20) + (4 << 20), depthMax: 1)
  private var decoder = ReplyDecoder(limits: limits)
  private var unread = ByteBuffer()
  private var waiting: EventLoopPromise<Answer>?
  private var isClosed = false

  func expect(_ promise: EventLoopPromise<Answer>) {
    if isClosed { return promise.fail(PeerRecords.Failure(description: "the connection is closed")) }
    waiting = promise
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    unread.writeBuffer(&bytes)
    guard let promise = waiting else { return }
    do {
      guard let (reply, byteCount) = try unread.withUnsafeReadableBytes({ try decoder.next($0) }) else { return }
      unread.moveReaderIndex(forwardBy: byteCount)
      unread.discardReadBytes()
      waiting = nil
      promise.succeed(try Self.answer(reply))
    } catch {
      waiting = nil
      promise.fail(PeerRecords.Failure(description: "\(error)"))
      context.close(promise: nil)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    isClosed = true
    waiting?.fail(PeerRecords.Failure(description: "the node closed the connection or did not answer in time"))
    waiting = nil
  }

  private static func answer(_ reply: RESPValue) throws -> Answer {
    switch reply {
    case .simple: return Answer()
    case .error(let error): throw PeerRecords.Failure(description: error.message)
    case .array(let elements):
      guard case .integer(let next)? = elements.first, next >= 0 else { break }
      let records = elements.dropFirst().compactMap { element in
        if case .bulk(let record) = element { record } else { nil }
      }
      guard records.count == elements.count - 1 else { break }
      return Answer(next: LSN(UInt64(next)), records: records)
    case .integer, .bulk, .null, .map, .set, .push, .double, .boolean, .bigNumber, .verbatim: break
    }
    throw PeerRecords.Failure(description: "not an answer of a Paceline node")
  }
}
