// Raw memory: received bytes are copied.
import Node
import Testing

@testable import Simulator

@Suite struct SimulatedNetworkTests {
  /// Keeps what it hears; sends back nothing.
  final class Ear: ConnectionReceiver {
    var connection: (any NodeConnection)?
    var bytes: [UInt8] = []
    var pieces = 0
    var closedBecause: String?
    var wantedBytes = 0
    var takes = Int.max
    var roomAnnounced = 0
    func opened(_ connection: any NodeConnection) { self.connection = connection }
    func received(_ bytes: UnsafeRawBufferPointer) -> Int {
      let taken = min(takes, bytes.count)
      self.bytes.append(contentsOf: bytes.prefix(taken))
      pieces += 1
      return taken
    }
    func writabilityChanged(_ isWritable: Bool) { roomAnnounced += isWritable ? 1 : 0 }
    func closed(_ reason: String) { closedBecause = reason }
  }

  /// Two sites, one connection from site 0 to site 1.
  final class Pair {
    let queue = EventQueue()
    let network: SimulatedNetwork
    let processes: [SimulatedProcess]
    let loops: [SimulatedLoop]
    let client = Ear()
    let server = Ear()

    init(seed: UInt64 = 1) {
      network = SimulatedNetwork(queue: queue, seed: seed)
      processes = [SimulatedProcess(queue: queue), SimulatedProcess(queue: queue)]
      loops = processes.map { SimulatedLoop(process: $0, seed: seed) }
      listen()
      connect()
    }
    func listen() {
      network.listen(
        at: 1, .init(process: processes[1]) { [loops, server] in (loops[1], { _ in server }) })
    }
    func connect() { network.connect(from: 0, to: 1, on: loops[0], to: client) }
    func run(milliseconds: UInt64) {
      let end = queue.now + milliseconds * 1000
      while queue.runNext(until: end) {}
    }
  }

  private func bytes(_ count: Int, _ seed: UInt64 = 3) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  @Test func bytesArriveInOrderInPieces() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    let sent = bytes(300_000)
    for begin in stride(from: 0, to: sent.count, by: 7001) {
      pair.client.connection?.send(Array(sent[begin..<min(begin + 7001, sent.count)]))
    }
    pair.run(milliseconds: 2000)
    #expect(pair.server.bytes == sent)
    #expect(pair.server.pieces > 5)
    #expect(pair.client.closedBecause == nil)
  }

  @Test func aFullWindowIsNotWritableAndRoomIsAnnounced() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    #expect(pair.client.connection?.isWritable == true)
    pair.client.connection?.send(bytes(100_000))
    #expect(pair.client.connection?.isWritable == false)
    pair.run(milliseconds: 1000)
    #expect(pair.client.connection?.isWritable == true)
    #expect(pair.client.roomAnnounced == 1)
  }

  @Test func whoReadsNothingHoldsTheSenderBack() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.server.takes = 0
    pair.client.connection?.send(bytes(1_000_000))
    pair.run(milliseconds: 5000)
    #expect(pair.client.connection?.isWritable == false)
    pair.server.takes = .max
    pair.client.connection?.send([1])
    pair.server.wantedBytes = 900_000
    pair.run(milliseconds: 5000)
    #expect(pair.server.bytes.isEmpty || pair.server.bytes.count >= 900_000)
  }

  @Test func aCutHoldsBytesBackInOneDirectionOnly() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.network.cut(from: 0, to: 1)
    pair.client.connection?.send([1, 2, 3])
    pair.server.connection?.send([4])
    pair.run(milliseconds: 5000)
    #expect(pair.server.bytes.isEmpty)
    #expect(pair.client.bytes == [4])
    pair.network.heal(from: 0, to: 1)
    pair.run(milliseconds: 100)
    #expect(pair.server.bytes == [1, 2, 3])
  }

  @Test func cutsAddUp() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.network.cut(from: 0, to: 1)
    pair.network.cut(from: 0, to: 1)
    pair.client.connection?.send([1])
    pair.network.heal(from: 0, to: 1)
    pair.run(milliseconds: 1000)
    #expect(pair.server.bytes.isEmpty)
    pair.network.heal(from: 0, to: 1)
    pair.run(milliseconds: 1000)
    #expect(pair.server.bytes == [1])
  }

  @Test func closingSendsWhatWasWrittenFirst() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    let sent = bytes(50_000)
    pair.client.connection?.send(sent)
    pair.client.connection?.close()
    pair.run(milliseconds: 1000)
    #expect(pair.server.bytes == sent)
    #expect(pair.server.closedBecause != nil)
    #expect(pair.client.closedBecause != nil)
  }

  @Test func aConnectionToNobodyIsRefusedAndOneThroughACutTimesOut() {
    let pair = Pair()
    pair.processes[1].kill()
    pair.network.processEnded(at: 1)
    pair.run(milliseconds: 200)
    #expect(pair.client.closedBecause == "connection refused")
    pair.client.closedBecause = nil
    pair.network.cut(from: 1, to: 0)
    pair.connect()
    pair.run(milliseconds: 1000)
    #expect(pair.client.closedBecause == nil)
    pair.run(milliseconds: 2000)
    #expect(pair.client.closedBecause == "connecting timed out")
  }

  @Test func theEndOfAProcessIsToldToTheOtherSide() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.server.connection?.send([1, 2])
    pair.processes[1].kill()
    pair.network.processEnded(at: 1)
    pair.run(milliseconds: 1000)
    #expect(pair.client.bytes == [1, 2])
    #expect(pair.client.closedBecause != nil)
    #expect(pair.server.closedBecause == nil, "a dead process hears nothing")
  }

  @Test func afterAPowerLossTheConnectionIsHalfOpen() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.processes[1].kill()
    pair.network.powerLost(at: 1)
    pair.client.connection?.send([1])
    pair.run(milliseconds: 10_000)
    #expect(pair.client.closedBecause == nil)
    // The machine is up again and knows nothing of the connection.
    pair.network.listen(
      at: 1, .init(process: SimulatedProcess(queue: pair.queue)) { (pair.loops[1], { _ in Ear() }) })
    pair.run(milliseconds: 1000)
    #expect(pair.client.closedBecause != nil)
  }

  @Test func aDroppedConnectionEndsBothSides() {
    let pair = Pair()
    pair.run(milliseconds: 100)
    pair.network.dropConnections(of: 1)
    pair.run(milliseconds: 100)
    #expect(pair.client.closedBecause != nil)
    #expect(pair.server.closedBecause != nil)
    #expect(pair.client.connection?.isWritable == false)
  }

  @Test func aStoppedProcessTakesConnectionsWhenItGoesOn() {
    let pair = Pair()
    pair.processes[1].pause()
    pair.run(milliseconds: 500)
    pair.client.connection?.send([7])
    pair.run(milliseconds: 500)
    #expect(pair.server.bytes.isEmpty)
    pair.processes[1].resume()
    pair.run(milliseconds: 500)
    #expect(pair.server.bytes == [7])
  }

  @Test func theSameSeedIsTheSameRun() {
    func run(_ seed: UInt64) -> [Int] {
      let pair = Pair(seed: seed)
      pair.run(milliseconds: 50)
      var out: [Int] = []
      for _ in 0..<20 {
        pair.client.connection?.send(bytes(5000))
        pair.run(milliseconds: 1)
        out.append(pair.server.bytes.count)
      }
      return out + [pair.server.pieces, pair.queue.steps]
    }
    #expect(run(5) == run(5))
    #expect(run(5) != run(6))
  }
}
