import Core
import LogStore
import Node
import Simulator
import Testing

/// One node on a simulated disk with a random log, and what every prefix of that log means.
final class RewindNode {
  enum Change {
    case put(db: Int, key: String, value: String, expiry: UInt64 = 0)
    case delete(db: Int, key: String)
    case flush(Int)
    case flushAll
    case swap(Int, Int)
    case noop
  }
  struct Item: Equatable {
    var value: String
    var expiry: UInt64
  }
  typealias State = [[String: Item]]
  static let databases = 3

  let files: SimulatedFileSystem
  let seed: UInt64
  var random: SplitMix64
  var directory: DataDirectory!
  var store: LogStore!
  /// By LSN - 1.
  var history: [(change: Change, endsUnit: Bool)] = []

  init(seed: UInt64, files: SimulatedFileSystem? = nil) {
    self.seed = seed
    self.files = files ?? SimulatedFileSystem(seed: seed)
    random = SplitMix64(seed: seed)
  }

  var configuration: StoreConfiguration {
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 4096
    configuration.opsBufferBytes = 0
    configuration.databases = Self.databases
    return configuration
  }

  /// The first start of a master.
  func begin() throws {
    try start()
    term(1)
  }

  /// Opens what is on disk; all of it becomes visible.
  func start() throws {
    directory = try DataDirectoryTests.open(files).directory
    store = try directory.openStore(configuration: configuration, workers: 2, run: DataDirectoryTests.inTurn).store
    _ = try store.withWriteLock { access throws in try store.apply(upTo: store.positions.appended, access) }
  }

  /// A node on a copy of the disk, with everything that was written, opened from it.
  func copy(seed: UInt64 = 1) throws -> RewindNode {
    _ = store.commit(flush: true)
    let other = RewindNode(seed: self.seed, files: files.copy(seed: seed))
    other.history = history
    try other.start()
    return other
  }

  var firstLSNs: [UInt64] {
    files.paths.compactMap { LogFileName(records: String($0.split(separator: "/").last!)) }.filter { !$0.isData }
      .map(\.firstLSN.value)
  }
  var lostFiles: [String] { files.paths.filter { $0.hasPrefix("data/lost-") && $0.hasSuffix(".resp") } }

  // MARK: Writing

  func step(_ change: Change, endsUnit: Bool = true) {
    store.withWriteLock { access in step(change, endsUnit: endsUnit, access) }
  }

  private func step(_ change: Change, endsUnit: Bool, _ access: borrowing WriteAccess) {
    var done = true
    switch change {
    case .put(let db, let key, let value, let expiry):
      Array(key.utf8).withUnsafeBytes { raw in
        let target = store.locate(store.table(db), store.hash(raw), raw)
        let bytes = Array(value.utf8)
        let place = store.beginPut(store.table(db), key: raw, valueBytes: bytes.count, expiry: expiry, access)!
        if !bytes.isEmpty { place.copyMemory(from: bytes, byteCount: bytes.count) }
        store.endPut(target, access)
      }
    case .delete(let db, let key):
      done = Array(key.utf8).withUnsafeBytes { raw in
        let target = store.locate(store.table(db), store.hash(raw), raw)
        return target.old == nil ? false : store.delete(target, key: raw, access)
      }
    case .flush(let db): done = store.flushDatabase(db, access)
    case .flushAll: done = store.flushAll(access)
    case .swap(let a, let b): done = store.swapDatabases(a, b, access)
    case .noop: done = store.beginTerm(reign((store.terms.last?.term.value ?? 0) + 1), access)
    }
    if done { history.append((change, endsUnit)) }
  }

  func unit(_ changes: [Change]) {
    let before = history.count
    store.withWriteLock { access in
      store.beginUnit(access)
      for change in changes { step(change, endsUnit: false, access) }
      store.endUnit(access)
    }
    if history.count > before { history[history.count - 1].endsUnit = true }
  }

  func term(_ term: UInt32, of owner: UInt8 = 1) {
    let isDone = store.withWriteLock { access in store.beginTerm(reign(term, of: owner), access) }
    #expect(isDone)
    history.append((.noop, true))
  }

  private func randomChange() -> Change {
    let (db, key) = (random.below(Self.databases), "key-\(random.below(25))")
    if random.chance(25) { return .delete(db: db, key: key) }
    let value = "\(random.next())" + String(repeating: "x", count: random.below(700))
    return .put(db: db, key: key, value: value, expiry: random.chance(20) ? 1_000_000 + UInt64(random.below(1000)) : 0)
  }

  /// Random units; about the given share of them is sealed, and named in generations.
  func fill(units: Int, sealedShare: Double) throws {
    for i in 0..<units {
      switch random.below(20) {
      case 0: step(.flush(random.below(Self.databases)))
      case 1: step(.swap(random.below(Self.databases), random.below(Self.databases)))
      case 2: step(.noop)
      case 3..<9: unit((0..<1 + random.below(9)).map { _ in randomChange() })
      default: step(randomChange())
      }
      if random.chance(30) { try settle(sealUpTo: Double(i) < Double(units) * sealedShare ? LSN(.max) : .none) }
    }
    try settle(sealUpTo: sealedShare == 1 ? LSN(.max) : .none)
  }

  func settle(sealUpTo: LSN) throws {
    store.positions.set(committed: store.commit(flush: true).durable)
    let maintained = store.maintain(neededFrom: LSN(1), sealUpTo: sealUpTo)
    if let error = maintained.error { throw error }
    if maintained.segmentsChanged { try name() }
  }

  private func name() throws {
    try directory.change { store.describe(&$0) }
    try store.removeDropped(keptGenerations: directory.keptGenerations)
  }

  /// Compacts all there is; false if there was nothing.
  func compact(neededFrom: LSN) throws -> Bool {
    store.withWriteLock { access in store.closeActiveSegment(access) }
    try settle(sealUpTo: LSN(.max))
    var done = false
    for _ in 0..<30 {
      let bounds = store.compactionBounds(neededFrom: neededFrom)
      guard
        let job = store.nextCompaction(
          bounds, garbageRatio: 0.1, waitsToSettle: neededFrom == LSN(.max), forcedBelow: .max)
      else { break }
      while try !job.step(bytes: 3000) {}
      _ = try job.close()
      _ = try job.install()
      try name()
      done = true
    }
    return done
  }

  // MARK: The cut

  func unitEnd(_ at: Int) -> Int { (history.prefix(at).lastIndex { $0.endsUnit }).map { $0 + 1 } ?? 0 }

  func rewind(to lsn: LSN) throws -> RewindReport {
    let (cut, report) = try directory.rewind(
      to: lsn, store: store, configuration: configuration, workers: 2, run: DataDirectoryTests.inTurn)
    if cut !== store { #expect(store.isClosedForGood) }
    store = cut
    return report
  }

  /// The new history, from another master.
  func goOn(term number: UInt32, of owner: UInt8 = 1) throws {
    let sealed = history.count % 2 == 0
    term(number, of: owner)
    for _ in 0..<12 { random.chance(50) ? step(randomChange()) : unit([randomChange(), randomChange()]) }
    try settle(sealUpTo: sealed ? LSN(.max) : .none)
  }

  // MARK: What must hold

  static func apply(_ change: Change, to state: inout State) {
    switch change {
    case .put(let db, let key, let value, let expiry): state[db][key] = Item(value: value, expiry: expiry)
    case .delete(let db, let key): state[db][key] = nil
    case .flush(let db): state[db] = [:]
    case .flushAll: state = Array(repeating: [:], count: databases)
    case .swap(let a, let b): state.swapAt(a, b)
    case .noop: break
    }
  }
  func state(at lsn: Int) -> State {
    var state = State(repeating: [:], count: Self.databases)
    for item in history.prefix(lsn) { Self.apply(item.change, to: &state) }
    return state
  }

  /// After a cut: the lost file, then the store.
  func check(_ note: String, point: Int, lost: LostRecords, location: SourceLocation = #_sourceLocation) throws {
    if point < history.count {
      #expect(Int(lost.records) == history.count - point && lost.skipped == 0, "\(note)", sourceLocation: location)
      try checkLost(lost.file, from: point, note)
      history.removeSubrange(point...)
    }
    try check(note, location: location)
    #expect(store.terms.entries.allSatisfy { Int($0.firstLSN.value) <= point }, "\(note)", sourceLocation: location)
  }

  /// The store is what one that only ever had this history is: content, digests, terms of its records.
  func check(_ note: String, location: SourceLocation = #_sourceLocation) throws {
    let last = LSN(UInt64(history.count))
    #expect(store.positions.applied == last && store.positions.appended == last, "\(note)", sourceLocation: location)
    let state = state(at: history.count)
    for db in 0..<Self.databases {
      #expect(store.keyCount(db) == state[db].count, "\(note): keys of db \(db)", sourceLocation: location)
      for (key, item) in state[db] {
        let found = Array(key.utf8).withUnsafeBytes { raw -> Item? in
          guard case .found(let record) = store.find(store.table(db), store.hash(raw), raw) else { return nil }
          return Item(value: String(decoding: record.value, as: UTF8.self), expiry: record.expiry)
        }
        #expect(found == item, "\(note): \(key) in db \(db)", sourceLocation: location)
      }
    }
    let only = RewindNode(seed: 1)
    try only.start()
    only.replay(history)
    #expect(sums(only.store) == sums(store), "\(note): digests", sourceLocation: location)
  }
  private func sums(_ store: LogStore) -> [UInt64] {
    store.withWriteLock { access in store.digests(access).map(\.sum) }
  }

  /// The same history in an empty store.
  func replay(_ history: [(change: Change, endsUnit: Bool)]) {
    var open: [Change] = []
    for item in history {
      open.append(item.change)
      guard item.endsUnit else { continue }
      if open.count == 1 { step(open[0]) } else { unit(open) }
      open = []
    }
  }

  /// The file replays to the same values as the records that were cut.
  func checkLost(_ file: String, from point: Int, _ note: String) throws {
    var state = state(at: point)
    var selected = 0
    var isOpen = false
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    for command in try lostCommands(file) {
      switch text(command[0]) {
      case "SELECT": selected = Int(text(command[1]))!
      case "SET":
        let expiry = command.count == 5 ? UInt64(text(command[4]))! : 0
        Self.apply(.put(db: selected, key: text(command[1]), value: text(command[2]), expiry: expiry), to: &state)
      case "DEL": Self.apply(.delete(db: selected, key: text(command[1])), to: &state)
      case "FLUSHDB": Self.apply(.flush(selected), to: &state)
      case "FLUSHALL": Self.apply(.flushAll, to: &state)
      case "SWAPDB": Self.apply(.swap(Int(text(command[1]))!, Int(text(command[2]))!), to: &state)
      case "MULTI":
        #expect(!isOpen, "\(note)")
        isOpen = true
      case "EXEC":
        #expect(isOpen, "\(note)")
        isOpen = false
      default: Issue.record("\(note): unknown command \(command)")
      }
    }
    #expect(!isOpen && state == self.state(at: history.count), "\(note): \(file)")
  }

  /// The commands of a file, read strictly.
  func lostCommands(_ file: String) throws -> [[[UInt8]]] {
    let bytes = try #require(files.contents(file))
    var at = 0
    func number(after mark: Character) throws -> Int {
      try #require(bytes[at] == mark.asciiValue)
      let end = try #require(bytes[at...].firstIndex(of: 13))
      let value = try #require(Int(String(decoding: bytes[(at + 1)..<end], as: UTF8.self)))
      try #require(bytes[end + 1] == 10)
      at = end + 2
      return value
    }
    var commands: [[[UInt8]]] = []
    while at < bytes.count {
      var command: [[UInt8]] = []
      for _ in 0..<(try number(after: "*")) {
        let count = try number(after: "$")
        command.append(Array(bytes[at..<at + count]))
        try #require(bytes[at + count] == 13 && bytes[at + count + 1] == 10)
        at += count + 2
      }
      commands.append(command)
    }
    return commands
  }
}

/// Of node n, whose id is that byte 20 times.
func reign(_ term: UInt32, of n: UInt8 = 1) -> Reign {
  Reign(term: Term(term), owner: NodeID(random: [UInt8](repeating: n, count: NodeID.byteCount)))
}
