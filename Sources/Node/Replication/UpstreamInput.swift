// Raw memory: frames are checked where the socket's bytes lie.
import Core
import Replication

/// The master's bytes: replies first, frames afterwards. On the link's loop.
final class UpstreamInput: ConnectionReceiver {
  private let link: UpstreamLink
  private let connection: Int
  private var replies = PeerReplyDecoder()
  private var decoder = FrameDecoder()

  init(link: UpstreamLink, connection: Int) {
    self.link = link
    self.connection = connection
  }

  var wantedBytes: Int { decoder.wantedBytes }
  func opened(_ wire: any NodeConnection) { link.connected(connection, wire) }
  func closed(_ reason: String) { link.lost(connection, reason) }
  func writabilityChanged(_ isWritable: Bool) {}

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    var at = 0
    while at < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
      let consumed = link.expectsFrames ? frame(rest) : reply(rest)
      guard consumed > 0 else { break }
      at += consumed
    }
    return at
  }

  private func reply(_ bytes: UnsafeRawBufferPointer) -> Int {
    do throws(PeerReplyDecoder.Malformed) {
      guard let (reply, consumed) = try replies.next(bytes) else { return 0 }
      link.handshake(connection, reply)
      return consumed
    } catch {
      link.lost(connection, "the other side is no Paceline master: \(error)")
      return 0
    }
  }

  private func frame(_ bytes: UnsafeRawBufferPointer) -> Int {
    do throws(FrameError) {
      guard let frame = try decoder.next(bytes) else { return 0 }
      link.frame(connection, frame.header, UnsafeRawBufferPointer(rebasing: bytes[frame.body]))
      return frame.consumed
    } catch {
      link.frameFailed(connection, error)
      return 0
    }
  }
}
