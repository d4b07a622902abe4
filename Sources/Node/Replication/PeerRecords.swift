// Raw memory: answers are read where the socket's bytes lie.
import Core
import RESP
import Replication
import Synchronization

/// Asks another node for records and listings, one command at a time, over a connection of its own. For background work: what
/// was asked for is there at a later step, and the duty that waits is woken.
///
/// Owned by one machine; without it the connection ends.
final class PeerRecords: Sendable {
  struct Failure: Error, CustomStringConvertible { let description: String }

  private let line: PeerLine

  /// Connects at once.
  init(_ address: NodeAddress, host: any NodeHost, wakes duty: BackgroundDuty) {
    let loop = host.relayLoop()
    line = PeerLine(host: host, loop: loop, wakes: duty)
    host.connect(address, on: loop, to: line)
  }
  deinit { line.end() }

  /// Bodies and records that came.
  var bytesReceived: Int { line.bytesReceived }
  /// Sends one command. The answer to the one before was taken.
  func ask(_ arguments: [String]) { line.ask(arguments) }
  /// The answer; nil: it has not come yet. It is taken once.
  func take() throws(Failure) -> RecordsAnswer? { try line.take() }
}

/// The connection of a `PeerRecords`. On a relay's loop; what both touch is behind a mutex.
private final class PeerLine: ConnectionReceiver, Sendable {
  private struct State {
    var connection: (any NodeConnection)?
    /// Not answered yet; sent when the connection is there and the password is taken.
    var question: [String]?
    var isGreeted = false
    var answer: RecordsAnswer?
    /// Nothing more is answered.
    var failure: PeerRecords.Failure?
    var decoder = ReplyDecoder(limits: RecordsAnswer.limits)
    var bytesReceived = 0
  }
  private let state = Mutex(State())
  private let host: any NodeHost
  private let loop: any WorkLoop
  private let duty: BackgroundDuty
  private let password: String?

  private static let answerMilliseconds: UInt64 = 30_000

  init(host: any NodeHost, loop: any WorkLoop, wakes duty: BackgroundDuty) {
    self.host = host
    self.loop = loop
    self.duty = duty
    password = host.nodeConfiguration.peerPassword
  }

  var bytesReceived: Int { state.withLock { $0.bytesReceived } }

  func ask(_ arguments: [String]) {
    let connection: (any NodeConnection)? = state.withLock { state in
      state.question = arguments
      return state.isGreeted ? state.connection : nil
    }
    connection?.send(RequestBuffer.encoded([arguments]))
    loop.schedule(afterMilliseconds: Self.answerMilliseconds) { [weak self] in
      guard let self, state.withLock({ $0.question == arguments }) else { return }
      fail("the node does not answer in time")
    }
  }

  func take() throws(PeerRecords.Failure) -> RecordsAnswer? {
    let (answer, failure) = state.withLock { state in
      defer { state.answer = nil }
      return (state.answer, state.failure)
    }
    if answer == nil, let failure { throw failure }
    return answer
  }

  /// Nobody asks any more.
  func end() { fail("") }

  private func fail(_ why: String) {
    let connection = state.withLock { state in
      if state.failure == nil { state.failure = PeerRecords.Failure(description: singleLine(why, bytesMax: 256)) }
      defer { (state.connection, state.question) = (nil, nil) }
      return state.connection
    }
    connection?.close()
    if !why.isEmpty { host.wake(duty) }
  }

  private func sendQuestion(_ connection: any NodeConnection) {
    if let question = state.withLock({ $0.question }) { connection.send(RequestBuffer.encoded([question])) }
  }

  // MARK: ConnectionReceiver

  var wantedBytes: Int { 0 }
  func writabilityChanged(_ isWritable: Bool) {}

  func opened(_ connection: any NodeConnection) {
    let isWanted = state.withLock { state in
      guard state.failure == nil else { return false }
      state.connection = connection
      state.isGreeted = password == nil
      return true
    }
    guard isWanted else { return connection.close() }
    if let password {
      connection.send(RequestBuffer.encoded([Login.command(password: password)]))
    } else {
      sendQuestion(connection)
    }
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    do {
      guard let (reply, byteCount) = try state.withLock({ try $0.decoder.next(bytes) }) else { return 0 }
      try answered(reply)
      return byteCount
    } catch {
      fail("\(error)")
      return bytes.count
    }
  }

  private func answered(_ reply: RESPValue) throws(RecordsAnswer.Refusal) {
    let (wasGreeted, connection) = state.withLock { state in
      defer { state.isGreeted = true }
      return (state.isGreeted, state.connection)
    }
    guard wasGreeted else {
      if let refusal = Login.refusal(reply) { return fail("the node refused the password: \(refusal)") }
      if let connection { sendQuestion(connection) }
      return
    }
    let answer = try RecordsAnswer(reply)
    state.withLock { state in
      guard state.question != nil else { return }
      state.question = nil
      state.bytesReceived += answer.records.reduce(0) { $0 + $1.count }
      state.answer = answer
    }
    host.wake(duty)
  }

  func closed(_ reason: String) { fail("the node closed the connection: \(reason)") }
}
