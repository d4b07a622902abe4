// Raw memory: received bytes are copied.
import Core
import Node
import RESP
import Replication

/// A client that registers at the master as a slave that votes, takes the stream and acknowledges all that it hears of
/// without keeping anything. It must neither become a voter nor stop the row, and no write is good by its word: the
/// checkers look at disks, and it has none.
final class SimulatedLiar: ConnectionReceiver, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  private enum State { case idle, registering, syncing, streaming }
  private unowned let simulation: Simulation
  private let number: Int
  private let loop: SimulatedLoop
  private var random: SplitMix64
  private var connection: (any NodeConnection)?
  private var state = State.idle
  private var replies = ReplyDecoder()
  private var decoder = FrameDecoder()
  private var isStopped = false
  private var id = NodeID.unknown

  init(number: Int, simulation: Simulation) {
    self.number = number
    self.simulation = simulation
    random = SplitMix64(seed: simulation.plan.seed &* 733 &+ UInt64(number))
    loop = SimulatedLoop(process: SimulatedProcess(queue: simulation.queue), seed: random.next())
  }

  /// Behind the clients in the numbering of sites; nobody listens there.
  private var site: Int { 2000 + number }

  func start() {
    guard !isStopped, connection == nil else { return }
    if random.chance(30) || id == .unknown {
      id = NodeID(random: (0..<NodeID.byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
    replies = ReplyDecoder()
    decoder = FrameDecoder()
    state = .registering
    simulation.network.connect(from: site, to: simulation.masterNumber, on: loop, to: self)
  }
  func stop() {
    isStopped = true
    connection?.close()
    connection = nil
  }
  func end() { loop.process.kill() }

  var wantedBytes: Int { 0 }
  func writabilityChanged(_ isWritable: Bool) {}

  func opened(_ connection: any NodeConnection) {
    self.connection = connection
    guard !isStopped else { return stop() }
    let request = RegisterRequest(
      id: id, address: SimulatedNode.address(900 + number), capabilities: random.chance(50) ? .all : [], hasData: false,
      last: .none, lineage: nil, isVoter: true)
    connection.send(RequestBuffer.encoded([["MS_REGISTER_SLAVE"] + request.arguments]))
  }

  func closed(_ reason: String) {
    connection = nil
    state = .idle
    simulation.queue.after(UInt64(100_000 + random.below(400_000))) { [weak self] in self?.start() }
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    switch state {
    case .idle: return bytes.count
    case .registering, .syncing:
      guard let (reply, byteCount) = try? replies.next(bytes) else { return 0 }
      if case .error = reply {
        connection?.close()
        return bytes.count
      }
      answer()
      return byteCount
    case .streaming: return lie(bytes)
    }
  }

  private func answer() {
    if state == .registering {
      state = .syncing
      let request = SyncRequest(id: id, position: .none, history: TermHistory(), lineage: nil, mode: .partial)
      connection?.send(RequestBuffer.encoded([["MS_SYNC_SLAVE"] + request.arguments]))
    } else {
      state = .streaming
    }
  }

  private func lie(_ bytes: UnsafeRawBufferPointer) -> Int {
    var at = 0
    do {
      while let frame = try decoder.next(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
        at += frame.consumed
        if frame.header.type == .prove, random.chance(30) {
          let body = ProofAnswer(number: UInt32(1 + random.below(3)), shown: .digest(random.next())).encoded()
          connection?.send(FrameHeader(type: .proof).frame(body: body))
        }
        guard frame.header.type == .log else { continue }
        let ack = Ack(
          durableLSN: frame.header.lastLSN, appliedLSN: frame.header.lastLSN, heardClock: frame.header.masterClock)
        connection?.send(FrameHeader(type: .ack).frame(body: ack.encoded()))
      }
    } catch {
      connection?.close()
      return bytes.count
    }
    return at
  }
}
