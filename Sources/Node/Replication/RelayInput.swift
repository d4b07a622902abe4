// Raw memory: frames are read where the socket's bytes lie.
import Core
import Replication

/// What a slave sends on its stream: mostly acks. On the connection's loop.
package final class RelayInput: ConnectionReceiver {
  private let runner: RelayRunner
  private let service: ReplicationService
  private var decoder = FrameDecoder()
  private var failed = false

  package init(runner: RelayRunner, service: ReplicationService) {
    self.runner = runner
    self.service = service
  }

  package var wantedBytes: Int { decoder.wantedBytes }
  package func opened(_ connection: any NodeConnection) {}

  package func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard !failed else { return bytes.count }
    var at = 0
    do throws(FrameError) {
      while !failed, let frame = try decoder.next(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
        try receive(frame.header, Array(bytes[at...].dropFirst(frame.body.lowerBound).prefix(frame.body.count)))
        at += frame.consumed
      }
    } catch {
      failed = true
      runner.peerFailed(error.asReplicationError)
    }
    return at
  }

  private func receive(_ header: FrameHeader, _ body: [UInt8]) throws(FrameError) {
    guard header.type.mayComeFromSlave, header.compression == .none else {
      throw FrameError(.badFlags, "a slave sent a \(header.type) frame")
    }
    switch try FrameBody.decode(header, body) {
    case .ack(let ack):
      service.slaveAcked(runner.link, ack)
      runner.acked(ack)
    case .proof(let answer): runner.answered(answer)
    case .error(let error):
      runner.peerFailed(ReplicationError(.peerRefused, "\(error.code) \(error.message)"))
      failed = true
    default: throw FrameError(.badFlags, "a slave sent a \(header.type) frame")
    }
  }

  package func writabilityChanged(_ isWritable: Bool) { runner.writable(isWritable) }

  package func closed(_ reason: String) {
    runner.linkLost()
    service.linkClosed(runner.link)
  }
}
