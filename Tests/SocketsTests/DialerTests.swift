import NIOCore
import NIOPosix
import Sockets
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a person reads when a connection does not come about, or ends: no name of a library's type is in it.
@Suite struct DialerTests {
  private static let libraryWords = [
    "NIO", "SingleConnectionFailure", "IOError", "ChannelError", "errno", "Optional(", "[IPv",
  ]

  private func expectPlain(_ text: String) {
    #expect(!text.isEmpty)
    for word in Self.libraryWords { #expect(!text.contains(word), "\(text)") }
  }

  /// A port on which nobody listens: it was free a moment ago.
  private func closedPort() async throws -> Int {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = server.localAddress?.port ?? 0
    try await server.close()
    return port
  }

  private func failure(_ host: String, _ port: Int) async -> DialError? {
    do {
      let channel = try await Dialer(connectTimeout: .seconds(30))
        .connect(host: host, port: port, on: MultiThreadedEventLoopGroup.singleton) { _ in }.get()
      try? await channel.close()
      return nil
    } catch {
      return error as? DialError
    }
  }

  @Test func aPortOnWhichNobodyListens() async throws {
    let port = try await closedPort()
    for host in ["127.0.0.1", "localhost"] {
      let failure = try #require(await failure(host, port))
      #expect(failure.description == "cannot connect to \(host):\(port): connection refused")
    }
  }

  @Test func aHostThatThereIsNot() async throws {
    let failure = try #require(await failure("no-such-host.invalid", 1))
    #expect(failure.reason == "unknown host")
  }

  @Test func anIPv6AddressStandsInBrackets() async throws {
    let port = try await closedPort()
    let failure = try #require(await failure("::1", port))
    #expect(failure.description.hasPrefix("cannot connect to [::1]:\(port): "))
    expectPlain(failure.description)
  }

  @Test func aConnectionHasTheHandlersBeforeItIsHandedOut() async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = server.localAddress?.port ?? 0
    let channel = try await Dialer(receiveBytes: 4096)
      .connect(host: "127.0.0.1", port: port, on: MultiThreadedEventLoopGroup.singleton) { channel in
        try channel.pipeline.syncOperations.addHandler(Named(), name: "here")
      }.get()
    let isThere = try await channel.eventLoop.submit {
      (try? channel.pipeline.syncOperations.context(name: "here")) != nil
    }.get()
    #expect(isThere)
    try await channel.close()
    try await server.close()
  }

  @Test(
    arguments: [
      IOError(errnoCode: ECONNREFUSED, reason: "connect(descriptor:addr:size:)"),
      IOError(errnoCode: EACCES, reason: "read(descriptor:pointer:size:)"),
      IOError(errnoCode: 9999, reason: "write"),
      ChannelError.ioOnClosedChannel, ChannelError.connectTimeout(.seconds(1)), ChannelError.eof,
      EventLoopError.shutdown, Unknown(),
    ] as [any Error & Sendable])
  func everyErrorReadsAsWords(error: any Error & Sendable) {
    expectPlain(SocketFailure.describe(error))
  }

  private final class Named: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
  }
  private struct Unknown: Error {}
}
