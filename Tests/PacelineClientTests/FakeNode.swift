import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PacelineClient
import RESP

/// A server on a loopback port of its own that answers commands by a function, over real sockets and in this process.
final class FakeNode: Sendable {
  enum Answer: Sendable {
    case bytes(String)
    case silence
    case hangUp
  }

  private typealias CommandLog = NIOLockedValueBox<[[String]]>

  let address: NodeAddress
  private let channel: any Channel
  private let log: CommandLog

  /// Every command received on any connection, in order.
  var commands: [[String]] { log.withLockedValue { $0 } }

  private init(channel: any Channel, log: CommandLog) {
    self.channel = channel
    self.log = log
    address = NodeAddress(host: "127.0.0.1", port: channel.localAddress?.port ?? 0)
  }

  static func start(_ answer: @escaping @Sendable ([String]) -> Answer) async throws -> FakeNode {
    let log = CommandLog([])
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Handler(answer: answer, log: log))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return FakeNode(channel: channel, log: log)
  }

  func stop() async { try? await channel.close() }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let answer: @Sendable ([String]) -> Answer
    private let log: CommandLog
    private var decoder = ReplyDecoder()  // A command has the shape of an array reply.
    private var received = ByteBuffer()

    init(answer: @escaping @Sendable ([String]) -> Answer, log: CommandLog) {
      self.answer = answer
      self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var bytes = unwrapInboundIn(data)
      received.writeBuffer(&bytes)
      while let (value, byteCount) = received.withUnsafeReadableBytes({ try? decoder.next($0) }),
        let command = value.elements?.compactMap(\.string)
      {
        received.moveReaderIndex(forwardBy: byteCount)
        log.withLockedValue { $0.append(command) }
        switch answer(command) {
        case .bytes(let text): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        case .silence: break
        case .hangUp: context.close(promise: nil)
        }
      }
    }
  }
}
