// Raw memory: replies are read where the socket's bytes lie.
import Core
import RESP
import Replication

/// One command to another node over a connection of its own, and its reply. On one loop.
final class PeerCall: ConnectionReceiver, @unchecked Sendable {
  // Safe to share: everything is touched on `loop` only.
  private let arguments: [String]
  private let password: String?
  private var done: ((Result<PeerReply, ReplicationError>) -> Void)?
  private var connection: (any NodeConnection)?
  private var isAuthenticated = false
  private var replies = PeerReplyDecoder()

  private init(
    _ arguments: [String], password: String?, done: @escaping (Result<PeerReply, ReplicationError>) -> Void
  ) {
    self.arguments = arguments
    self.password = password
    self.done = done
  }

  /// Calls `done` on the loop, once: with the reply, or why there is none within the time.
  static func send(
    _ arguments: [String], to address: NodeAddress, host: any NodeHost, loop: any WorkLoop,
    timeoutMilliseconds: UInt64, done: @escaping (Result<PeerReply, ReplicationError>) -> Void
  ) {
    let call = PeerCall(arguments, password: host.nodeConfiguration.peerPassword, done: done)
    host.connect(address, on: loop, to: call)
    loop.schedule(afterMilliseconds: timeoutMilliseconds) {
      call.finish(.failure(ReplicationError(.timeout, "no answer in \(timeoutMilliseconds) ms")))
    }
  }

  var wantedBytes: Int { 0 }
  func writabilityChanged(_ isWritable: Bool) {}

  func opened(_ connection: any NodeConnection) {
    guard done != nil else { return connection.close() }
    self.connection = connection
    if let password {
      connection.send(RequestBuffer.encoded([Login.command(password: password)]))
    } else {
      authenticated()
    }
  }

  private func authenticated() {
    isAuthenticated = true
    connection?.send(RequestBuffer.encoded([arguments]))
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    do throws(PeerReplyDecoder.Malformed) {
      guard let (reply, consumed) = try replies.next(bytes) else { return 0 }
      switch reply {
      case .error(let error) where isAuthenticated || Login.refusal(error) != nil:
        finish(.failure(ReplicationError(.peerRefused, singleLine(error.message, bytesMax: 256))))
      case .error, .status, .elements:
        if isAuthenticated { finish(.success(reply)) } else { authenticated() }
      }
      return consumed
    } catch {
      finish(.failure(ReplicationError(.syntax, "\(error)")))
      return bytes.count
    }
  }

  func closed(_ reason: String) { finish(.failure(ReplicationError(.linkLost, singleLine(reason, bytesMax: 256)))) }

  private func finish(_ result: Result<PeerReply, ReplicationError>) {
    guard let done else { return }
    self.done = nil
    connection?.close()
    connection = nil
    done(result)
  }
}
