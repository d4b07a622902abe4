// Raw memory: frames are checked where the socket's bytes lie.
import NIOCore
import Replication

/// The master's bytes: replies first, frames afterwards.
final class UpstreamHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let link: UpstreamLink
  private let connection: Int
  private var decoder = FrameDecoder()
  private var unread = ByteBuffer()
  /// True inside `channelRead`. When a write fails, NIO hands over what is still in the socket before it returns: an ack
  /// on a broken connection brings `channelRead` back while a frame is being worked on.
  private var isWorking = false

  init(link: UpstreamLink, connection: Int) {
    self.link = link
    self.connection = connection
  }

  func channelActive(context: ChannelHandlerContext) { link.connected(connection, context.channel) }
  func channelInactive(context: ChannelHandlerContext) { link.lost(connection, "the master closed the connection") }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    link.lost(connection, "\(error)")
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    if unread.readableBytes == 0 { unread = bytes } else { unread.writeBuffer(&bytes) }
    if isWorking { return }
    isWorking = true
    defer { isWorking = false }
    while unread.readableBytes > 0 {
      let consumed = link.expectsFrames ? frame() : reply()
      guard consumed > 0 else { break }
      unread.moveReaderIndex(forwardBy: consumed)
    }
    if unread.readableBytes == 0 {
      unread.clear()
    } else {
      unread.discardReadBytes()
      unread.reserveCapacity(decoder.wantedBytes)
    }
  }

  private func reply() -> Int {
    do {
      let bytes = Array(unread.readableBytesView)
      guard let (reply, consumed) = try HandshakeDecoder.next(bytes) else { return 0 }
      link.handshake(connection, reply)
      return consumed
    } catch {
      link.lost(connection, "the other side is no Paceline master: \(error)")
      return 0
    }
  }

  private func frame() -> Int {
    unread.withUnsafeReadableBytes { raw in
      do throws(FrameError) {
        guard let frame = try decoder.next(raw) else { return 0 }
        link.frame(connection, frame.header, UnsafeRawBufferPointer(rebasing: raw[frame.body]))
        return frame.consumed
      } catch {
        link.frameFailed(connection, error)
        return 0
      }
    }
  }
}
