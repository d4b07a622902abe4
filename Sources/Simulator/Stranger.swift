// Raw memory: received bytes are copied.
import Core
import Node
import RESP
import Replication

/// Somebody who has the password and is no node: sends one message of nodes to a node, with numbers from the edges.
final class Stranger: ConnectionReceiver {
  private static let site = 2000
  private static let numbers: [UInt64] = [
    0, 1, 2, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, (1 << 62) + 1, (1 << 63) - 1, 1 << 63,
    .max - 1, .max,
  ]
  private static let terms: [UInt32] = [0, 1, 2, 1000, 1 << 30, (1 << 31) - 1, 1 << 31, .max - 1, .max]

  private unowned let simulation: Simulation
  private let process: SimulatedProcess
  private var random: SplitMix64
  private var connection: (any NodeConnection)?
  private var target = 0
  /// Goes on with frames when the stream begins.
  private var isSlave = false
  private var repliesLeft = 0
  private var replies = ReplyDecoder()

  init(simulation: Simulation, pick: Int) {
    self.simulation = simulation
    process = SimulatedProcess(queue: simulation.queue)
    random = SplitMix64(seed: UInt64(pick))
  }

  func call(_ node: Int) {
    target = node
    let loop = SimulatedLoop(process: process, seed: random.next())
    simulation.network.connect(from: Self.site, to: node, on: loop, to: self)
    // It stays for a while.
    simulation.queue.after(UInt64(200 + random.below(3000)) * 1000) { [self] in
      connection?.close()
      process.kill()
    }
  }

  var wantedBytes: Int { 0 }
  func opened(_ connection: any NodeConnection) {
    self.connection = connection
    let messages = messages()
    for message in messages { simulation.trace("a stranger tells node \(target): \(message.joined(separator: " "))") }
    repliesLeft = messages.count
    connection.send(RequestBuffer.encoded(messages))
  }
  func writabilityChanged(_ isWritable: Bool) {}
  func closed(_ reason: String) {
    connection = nil
    process.kill()
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard repliesLeft > 0 else { return bytes.count }
    var at = 0
    while repliesLeft > 0, let (reply, byteCount) = try? replies.next(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
      at += byteCount
      repliesLeft -= 1
      if repliesLeft > 0 { continue }
      if case .error = reply { continue }
      if isSlave { acknowledge() }
    }
    return repliesLeft > 0 ? at : bytes.count
  }

  // MARK: What it says

  private func messages() -> [[String]] {
    switch random.below(5) {
    case 0: return [["MS_VOTE"] + vote.arguments]
    case 1: return [["MS_NEW_MASTER"] + news]
    case 2: return [["MS_REGISTER_SLAVE"] + registration(stranger).arguments]
    case 3: return [odd]
    default:
      isSlave = true
      let id = stranger
      return [["MS_REGISTER_SLAVE"] + registration(id).arguments, ["MS_SYNC_SLAVE"] + request(id).arguments]
    }
  }

  private var stranger: NodeID { NodeID(random: (0..<NodeID.byteCount).map { _ in UInt8(random.below(256)) }) }
  private var node: NodeProcess? { simulation.nodes[random.below(simulation.nodes.count)].life }
  /// A node's, or nobody's.
  private var id: NodeID { random.chance(50) ? node?.core.directory.node ?? stranger : stranger }
  private var lineage: NodeID { random.chance(80) ? node?.core.directory.lineage ?? stranger : stranger }
  private var address: NodeAddress {
    SimulatedNode.address(random.chance(50) ? random.below(simulation.nodes.count) : 100 + random.below(50))
  }
  private var known: UInt32 { node?.core.term.value ?? 1 }
  private var term: Term {
    switch random.below(3) {
    case 0: Term(known &+ UInt32(random.below(3)))
    default: Term(Self.terms[random.below(Self.terms.count)])
    }
  }
  private var lsn: LSN {
    random.chance(40)
      ? LSN((node?.store.positions.appended.value ?? 0) &+ UInt64(random.below(3)))
      : LSN(Self.numbers[random.below(Self.numbers.count)])
  }
  private var position: Position {
    Position(Reign(term: term, owner: random.chance(70) ? id : .unknown), lsn: lsn)
  }

  private var vote: VoteRequest {
    VoteRequest(
      term: term, candidate: id, address: address, last: position, lineage: lineage, isPreVote: random.chance(30),
      isForced: random.chance(40), isReturn: random.chance(30), passesPromise: random.chance(40))
  }
  private var news: [String] {
    NewMaster(term: term, id: id, address: address, lineage: lineage, firstLSN: lsn).arguments
  }
  private func registration(_ id: NodeID) -> RegisterRequest {
    var request = RegisterRequest(id: id, address: SimulatedNode.address(100 + random.below(50)))
    request.hasData = random.chance(60)
    request.last = position
    request.lineage = random.chance(20) ? nil : lineage
    request.knownReign = Reign(term: term, owner: random.chance(50) ? self.id : .unknown)
    request.isVoter = random.chance(50)
    request.yields = random.chance(30)
    request.acceptDataLoss = random.chance(30)
    request.chain = random.chance(30) ? (0..<random.below(4)).map { _ in self.id } : []
    return request
  }
  private func request(_ id: NodeID) -> SyncRequest {
    let last = position
    var history = TermHistory()
    if random.chance(70), let made = TermHistory([TermHistory.Entry(last.reign, firstLSN: max(lsn, LSN(1)))]) {
      history = made
    }
    var request = SyncRequest(id: id, position: last, history: history, lineage: random.chance(20) ? nil : lineage)
    request.mode = [.auto, .full, .partial, .delta][random.below(4)]
    if random.chance(50) { request.rewindFloor = lsn }
    return request
  }
  /// Words that no node would send.
  private var odd: [String] {
    let number = String(Self.numbers[random.below(Self.numbers.count)])
    var words = [
      ["MS_VOTE"] + vote.arguments, ["MS_NEW_MASTER"] + news, ["MS_REGISTER_SLAVE"] + registration(id).arguments,
      ["MS_STATE", "2"],
    ][random.below(4)]
    for _ in 0..<1 + random.below(3) {
      let at = 1 + random.below(words.count - 1)
      switch random.below(4) {
      case 0: words[at] = number
      case 1: words[at] = "-" + number
      case 2: words[at] = number + ":" + number
      default: words[at] = ""
      }
    }
    return words
  }

  /// Claims to have more than there is: what it claims counts nothing. (What it holds nobody could know.)
  private func acknowledge() {
    let claimed = max(lsn, LSN((simulation.nodes[target].life?.store.positions.appended.value ?? 0) &+ 1_000_000))
    let ack = Ack(
      durableLSN: claimed, appliedLSN: lsn,
      appliedClock: WallClock(milliseconds: Self.numbers[random.below(Self.numbers.count)]),
      fileBytes: Self.numbers[random.below(Self.numbers.count)],
      heardClock: WallClock(milliseconds: Self.numbers[random.below(Self.numbers.count)]))
    connection?.send(FrameHeader(type: .ack).frame(body: ack.encoded()))
  }
}
