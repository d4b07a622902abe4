// Raw memory: hands texts in as bytes.
import Commands
import Connection
import Core
import LogStore
import RESP
import Simulator

/// A connection over a store in memory: bytes in as text, what leaves as text. Nothing is good before the test says so.
final class ConnectionHarness: ConnectionLoopHost, ConnectionDriver {
  let services = Services()
  let store: LogStore
  private(set) var loop: ConnectionLoop!
  private(set) var connection: ClientConnection!
  /// What has left.
  var sent = ""
  private var kept: [String] = []
  private var unread: [UInt8] = []
  private(set) var isEnded = false
  private(set) var wakes: [Tick] = []
  private(set) var rounds = 0

  var tick = Tick(milliseconds: 1000)
  var good = Gate.open
  var isMaster = true
  var isWritable = true
  var attention: Attention = []
  /// What is answered to a command that waits for other things than a `PendingReply`.
  var isOver = false

  /// The data path's commands, and one of the host that waits until the test answers it.
  private static let table = CommandTable {
    $0.addDataCommands()
    $0.group = .server
    $0.command(
      "save", arity: 1, [.admin], [], since: "1.0.0", summary: "Waits", complexity: "O(1)",
      run: HostFunctions<Services> { $0.services as! Services }(Services.wait))
  }

  init() throws {
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 1 << 20
    store = try LogStore.create(
      fileSystem: SimulatedFileSystem(), directory: "store", lineage: NodeID(random: Array(1...20)),
      configuration: configuration)
    loop = ConnectionLoop(
      host: self, executor: Executor(store: store, services: services, table: Self.table), outputBufferBytesMax: 1 << 20
    )
    loop.syncTimeoutMilliseconds = 500
    connection = ClientConnection(
      Session(id: 1, authenticated: true), on: loop, limits: RequestLimits(authenticated: true))
    connection.begin(self)
  }

  /// Inline commands, one a line. Returns what has left since.
  @discardableResult
  func receive(_ lines: String...) -> String {
    unread += lines.flatMap { Array(($0 + "\r\n").utf8) }
    read()
    return take()
  }
  func take() -> String {
    defer { sent = "" }
    return sent
  }
  private func read() {
    let bytes = unread
    let taken = bytes.withUnsafeBytes { connection.received($0) }
    unread.removeFirst(taken)
  }
  var hasUnread: Bool { !unread.isEmpty }

  // MARK: ConnectionLoopHost

  func beginBatch(forwarding: Bool) {
    loop.executor.beginBatch(
      now: WallClock(milliseconds: 1_700_000_000_000), tick: tick, good: good, takesWrites: isMaster)
    loop.executor.attention = attention
  }
  func endBatch() { _ = loop.executor.endBatch() }
  func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer?? {
    switch suspension {
    case .reply(let pending): pending.ready.map { .some($0) }
    case .time(let until): now >= until ? .some(nil) : nil
    case .turn: .some(nil)
    case .slaves, .disks, .visible, .exec, .room, .paused, .unconfirmed: isOver ? .some(nil) : nil
    }
  }
  func scheduleRound() { rounds += 1 }

  // MARK: ConnectionDriver

  func send(_ bytes: UnsafeRawBufferPointer) { sent += String(decoding: bytes, as: UTF8.self) }
  func keep(_ bytes: UnsafeRawBufferPointer) { kept.append(String(decoding: bytes, as: UTF8.self)) }
  func sendKept() { sent += kept.removeFirst() }
  func flush() {}
  func dropKept() { kept.removeFirst() }
  func close() { isEnded = true }
  func readOn() { read() }
  func wake(at tick: Tick) { wakes.append(tick) }
  var screensCommands: Bool { false }
  func screen(_ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int) -> Screening { .execute }
  var hasTakenCommands: Bool { false }
  func failed(_ error: ProtocolError) {}
  func batchEnds() {}
  func executed(bytes: Int) {}
  func lookAtTaken(now: Tick) -> Bool { false }
  func lostMastership() {}
}

/// Commands of the server wait until the test answers them.
final class Services: ServerServices, @unchecked Sendable {
  // Safe to share: a test has one thread.
  var pending: PendingReply?
  func readOnlyError() -> String { "READONLY" }
  func feedMonitors(_ line: String) {}
  var password: [UInt8]? { nil }
  var redisVersion: String { "7.0.15" }
  var roleName: String { "master" }
  func wait(_ executor: Executor) throws(CommandFailure) -> Outcome {
    let reply = PendingReply()
    pending = reply
    return .suspended(.reply(reply))
  }
  func holdsBack(writes: Bool, now: Tick) -> Bool { writes }
}
