// Raw memory: received bytes are copied.
import Core
import LogStore
import Node
import RESP

/// One command of a client, from its sending to what the checkers made of it.
final class ClientCommand {
  enum Kind: String {
    case set, get, delete, exchange, setMany, getMany
    /// With a time to live: may be missing afterwards.
    case setExpiring
    case multi, queuedSet, exec
    /// SELECT, COMMIT LEVEL, TABLE SET.
    case select, setLevel, setTableLevel
  }
  let kind: Kind
  private(set) var keys: [String]
  private(set) var values: [String]
  let sentAt: UInt64
  /// The connection, and the place among all that was sent.
  var line = 0
  var order = 0
  var completedAt: UInt64?
  var expiresInMilliseconds = 700
  /// Where it ran, and what it saw and wrote there.
  var node = -1
  var isMasters = false
  var wasMaster = false
  var positions: [Position] = []
  var visible = LSN.none
  var branch = TermHistory()
  var ran = false
  /// What its writes wait for at least, and how many voters there were.
  var level = RecordLevel.async
  var voters = 0

  init(_ kind: Kind, _ keys: [String], _ values: [String] = [], sentAt: UInt64) {
    self.kind = kind
    self.keys = keys
    self.values = values
    self.sentAt = sentAt
  }

  var words: [String] {
    switch kind {
    case .set, .queuedSet: ["SET", keys[0], values[0]]
    case .setExpiring: ["SET", keys[0], values[0], "PX", "\(expiresInMilliseconds)"]
    case .get: ["GET", keys[0]]
    case .delete: ["DEL", keys[0]]
    case .exchange: ["GETSET", keys[0], values[0]]
    case .setMany: ["MSET"] + zip(keys, values).flatMap { [$0, $1] }
    case .getMany: ["MGET"] + keys
    case .multi: ["MULTI"]
    case .exec: ["EXEC"]
    case .select: ["SELECT", values[0]]
    case .setLevel: ["COMMIT", "LEVEL", values[0]]
    case .setTableLevel: ["TABLE", "SET", values[0], "COMMIT", values[1]]
    }
  }
  /// What it is and its first key, for messages.
  var name: String { keys.isEmpty ? kind.rawValue : kind.rawValue + " " + keys[0] }
  /// EXEC: a command of the transaction that answered an error (its record was damaged) wrote nothing, the others did.
  func leaveOut(refused replies: [RESPValue]) {
    guard replies.count == keys.count else { return }
    let done = replies.indices.filter { if case .error = replies[$0] { false } else { true } }
    (keys, values) = (done.map { keys[$0] }, done.map { values[$0] })
  }

  var writes: Bool {
    switch kind {
    case .get, .getMany, .multi, .queuedSet, .select, .setLevel: false
    case .set, .delete, .exchange, .setMany, .setExpiring, .exec, .setTableLevel: true
    }
  }
  /// How many records it appends if it does what it says; 0 for any number.
  var records: Int {
    switch kind {
    case .delete, .setTableLevel: 1
    case .set, .setExpiring, .exchange, .setMany, .exec: keys.count
    case .get, .getMany, .multi, .queuedSet, .select, .setLevel: 0
    }
  }
  /// Done although nothing was appended.
  var mayChangeNothing: Bool { kind == .delete || kind == .setTableLevel || kind == .exec && keys.isEmpty }
}

/// Keys of the second database begin with `b`, those with a time to live have an `x`.
enum SimulatedKey {
  static func database(_ key: String) -> Int { key.hasPrefix("b") ? 1 : 0 }
  static func mayExpire(_ key: String) -> Bool { key.contains("x") }
}

/// A client: sends a few commands at once, waits for their replies, thinks, goes on. Values are never used twice.
final class SimulatedClient {
  private unowned let simulation: Simulation
  let number: Int
  private let loop: SimulatedLoop
  private var random: SplitMix64
  private var links: [Int: ClientLink] = [:]
  private var isStopped = false
  /// Which database it works in.
  private let database: Int

  init(number: Int, simulation: Simulation) {
    self.number = number
    self.simulation = simulation
    let process = SimulatedProcess(queue: simulation.queue)
    random = SplitMix64(seed: simulation.plan.seed &* 131 &+ UInt64(number))
    database = simulation.plan.usesTwoDatabases ? number % 2 : 0
    loop = SimulatedLoop(process: process, seed: random.next())
  }

  private var queue: EventQueue { simulation.queue }
  private var plan: FaultPlan { simulation.plan }
  /// Clients are behind the nodes in the numbering of sites.
  var site: Int { 1000 + number }

  func start() { think() }
  func stop() { isStopped = true }
  /// Nothing of it runs any more; connections and their ends let go of each other.
  func end() {
    loop.process.kill()
    links = [:]
  }

  private func think() {
    let pause = random.chance(80) ? random.below(25_000) : random.below(300_000)
    queue.after(UInt64(pause)) { [weak self] in self?.work() }
  }

  private func work() {
    guard !isStopped else { return }
    let readsAnywhere = random.chance(plan.anyNodePercent)
    let target = readsAnywhere || random.chance(3) ? random.below(plan.nodes) : simulation.masterNumber
    guard let link = links[target], link.isUsable else { return connect(to: target) }
    var commands = plan.usesTwoDatabases ? select(link) : []
    if plan.mixesLevels { commands += levels(link) }
    for _ in 0..<1 + random.below(plan.pipelineMax) { commands += next(readsOnly: readsAnywhere && random.chance(90)) }
    link.send(commands)
    let sent = link.sent
    queue.after(2_000_000) { [weak self, weak link] in
      guard let link, link.isUsable, link.replied < sent else { return }
      link.end()
      self?.think()
    }
  }

  private func connect(to target: Int) {
    let link = ClientLink(node: target, simulation: simulation)
    link.idle = { [weak self, weak link] in
      guard let self else { return }
      if let link, !link.isUsable, self.links[target] === link { self.links[target] = nil }
      self.think()
    }
    links[target] = link
    simulation.network.connect(from: site, to: target, on: loop, to: link, tag: link)
  }

  // MARK: Commands

  private func named(_ key: String) -> String { database == 0 ? key : "b" + key }
  private func key() -> String { named("k\(random.below(plan.keys))") }
  private func expiringKey() -> String { named("x\(random.below(3))") }
  private func value() -> String {
    let filler = random.below(plan.valueBytesMax + 1)
    let id = simulation.nextValue()
    return "\(id):" + String(repeating: "abcdefghij", count: filler / 10)
  }

  private func next(readsOnly: Bool) -> [ClientCommand] {
    let now = queue.now
    if readsOnly || random.chance(plan.readPercent) {
      switch random.below(10) {
      case 0: return [ClientCommand(.get, [expiringKey()], sentAt: now)]
      case 1, 2: return [ClientCommand(.getMany, [key(), key()], sentAt: now)]
      default: return [ClientCommand(.get, [key()], sentAt: now)]
      }
    }
    if plan.expiresMuch, random.chance(30) {
      let command = ClientCommand(.setExpiring, [expiringKey()], [value()], sentAt: now)
      if plan.stepsClocks { command.expiresInMilliseconds = [700, 5000, 60_000][random.below(3)] }
      return [command]
    }
    if plan.deletesMuch, random.chance(25) { return [ClientCommand(.delete, [key()], sentAt: now)] }
    switch random.below(20) {
    case 0: return [ClientCommand(.setExpiring, [expiringKey()], [value()], sentAt: now)]
    case 1, 2, 3: return [ClientCommand(.delete, [key()], sentAt: now)]
    case 4, 5: return [ClientCommand(.exchange, [key()], [value()], sentAt: now)]
    case 6, 7:
      let keys = twoKeys()
      return [ClientCommand(.setMany, keys, keys.map { _ in value() }, sentAt: now)]
    case 8, 9:
      let keys = twoKeys()
      let values = keys.map { _ in value() }
      return [ClientCommand(.multi, [], sentAt: now)]
        + zip(keys, values).map { ClientCommand(.queuedSet, [$0], [$1], sentAt: now) }
        + [ClientCommand(.exec, keys, values, sentAt: now)]
    default: return [ClientCommand(.set, [key()], [value()], sentAt: now)]
    }
  }

  private func twoKeys() -> [String] {
    let first = random.below(plan.keys)
    return [named("k\(first)"), named("k\((first + 1) % plan.keys)")]
  }

  /// A new connection goes to its database.
  private func select(_ link: ClientLink) -> [ClientCommand] {
    link.sent == 0 && database > 0 ? [ClientCommand(.select, [], ["\(database)"], sentAt: queue.now)] : []
  }

  /// Now and then the level of the connection or of a database changes.
  private func levels(_ link: ClientLink) -> [ClientCommand] {
    let now = queue.now
    var commands: [ClientCommand] = []
    let level = ["async", "fullsync", "quorum", "default"][random.below(4)]
    if random.chance(link.sent == 0 ? 50 : 5) { commands.append(ClientCommand(.setLevel, [], [level], sentAt: now)) }
    if random.chance(1) {
      commands.append(ClientCommand(.setTableLevel, [], ["\(random.below(2))", level], sentAt: now))
    }
    return commands
  }
}

/// A client's connection to one node.
final class ClientLink: ConnectionReceiver, CommandObserver {
  let node: Int
  private let line: Int
  private unowned let simulation: Simulation
  private var connection: (any NodeConnection)?
  private var commands: [ClientCommand] = []
  private var ranCount = 0
  private(set) var replied = 0
  /// COMMIT LEVEL of this connection.
  private(set) var level = RecordLevel.async
  private var decoder = ReplyDecoder()
  private var isEnded = false
  /// All replies are there, or none will come.
  var idle: () -> Void = {}

  init(node: Int, simulation: Simulation) {
    self.node = node
    self.simulation = simulation
    line = simulation.nextLine()
  }

  var isUsable: Bool { connection != nil && !isEnded }
  var sent: Int { commands.count }
  var wantedBytes: Int { 0 }

  func send(_ batch: [ClientCommand]) {
    for command in batch { command.line = line }
    commands += batch
    simulation.sent(batch)
    connection?.send(RequestBuffer.encoded(batch.map(\.words)))
  }

  func opened(_ connection: any NodeConnection) {
    self.connection = connection
    idle()
  }
  func writabilityChanged(_ isWritable: Bool) {}

  /// The client gives up: what was not answered stays unknown.
  func end() {
    isEnded = true
    connection?.close()
  }

  func closed(_ reason: String) {
    guard !isEnded else { return }
    isEnded = true
    idle()
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    var at = 0
    while let (reply, byteCount) = try? decoder.next(UnsafeRawBufferPointer(rebasing: bytes[at...])) {
      at += byteCount
      guard replied < commands.count else {
        simulation.report(Violation("too many replies", "node \(node)"))
        return bytes.count
      }
      let command = commands[replied]
      replied += 1
      guard !isEnded else { continue }
      simulation.replied(command, reply)
      // A node that has not heard yet how many databases there are: what follows would go to another one.
      if command.kind == .select, case .error = reply {
        end()
        idle()
        return bytes.count
      }
      if replied == commands.count { idle() }
    }
    return at
  }

  func executed(on node: NodeProcess, appendedBefore: UInt64, appendedAfter: UInt64, reply: [UInt8]) {
    guard ranCount < commands.count else { return }
    let command = commands[ranCount]
    ranCount += 1
    if command.kind == .setLevel { level = RecordLevel(text: command.values[0]) }
    command.level = level
    if command.kind == .exec {
      var decoder = ReplyDecoder()
      let parsed = reply.withUnsafeBytes { try? decoder.next($0)?.value }
      if case .array(let parts)? = parsed { command.leaveOut(refused: parts) }
    }
    simulation.ran(command, on: node, appendedBefore: appendedBefore, appendedAfter: appendedAfter)
  }
}

extension RecordLevel {
  /// What weighs least for "default".
  fileprivate init(text: String) {
    self = text == "quorum" ? .quorum : text == "fullsync" ? .fullsync : .async
  }
}
