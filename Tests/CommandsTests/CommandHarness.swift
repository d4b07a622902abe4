import Core
import LogStore
import RESP
import Synchronization

@testable import Commands

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A store, an executor and one session, without a server: a command goes in as text, its raw reply comes out.
///
/// Owned by one test, on that test's thread. Nothing is committed, so the store's directory stays empty; it is removed
/// at the end. The clock stands still until the test moves it.
final class CommandHarness {
  let store: LogStore
  let services = StubServices()
  let executor: Executor
  let session = Session(id: 1, authenticated: true)
  /// The master's wall clock in milliseconds: 2023-11-14T22:13:20Z until a test moves it.
  var now: UInt64 = 1_700_000_000_000
  var tick = Tick(milliseconds: 0)
  /// Records up to here are good; `UInt64.max`: replies never wait.
  var good = UInt64.max
  /// False plays a slave.
  var takesWrites = true
  /// 2 or 3.
  var protocolVersion: UInt8 = 2
  /// What the shell wants to see or hold back; set anew for each batch, as a loop does.
  var attention: Attention = []
  /// What the last command came to.
  private(set) var outcome = Outcome.done
  /// How often a batch was ended early, since its turn was over.
  private(set) var turnsEnded = 0
  private var inBatch = false

  /// - Parameter configure: changes the limits of the store before it is made.
  init(_ configure: (inout StoreConfiguration) -> Void = { _ in }) {
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 1 << 20
    configure(&configuration)
    let number = Self.made.wrappingAdd(1, ordering: .relaxed).newValue
    let directory = "/tmp/paceline-commands-\(getpid())-\(number)"
    do {
      store = try LogStore.create(
        fileSystem: RealFileSystem(), directory: directory, lineage: NodeID(random: Array(1...20)),
        configuration: configuration)
    } catch {
      fatalError("no store for the test: \(error)")
    }
    executor = Executor(store: store, services: services, table: Self.table)
    if Self.compressesEverything {
      store.compression = .lz4
      executor.keys.values.rawBytesMin = 1
      executor.keys.values.compressor.compressesAlways = true
    }
  }
  /// Values are stored with lz4, also those that become longer by it: the commands must not notice.
  @TaskLocal static var compressesEverything = false
  private static let made = Atomic<Int>(0)

  deinit { rmdir(store.directory) }

  /// The commands on keys and connections, and some that a host would serve.
  private static let table = CommandTable { rows in
    rows.addDataCommands()
    let unserved = CommandFunction.served { (_, _, _) throws(CommandFailure) in
      throw .text("ERR the test's server does not answer this")
    }
    for name in ["shutdown", "save"] {
      rows.command(
        name, arity: -1, [.admin, .noMulti], [], since: "1.0.0", summary: "Not in a transaction", complexity: "",
        run: unserved)
    }
    for name in ["config|get", "client|list"] {
      rows.command(
        String(name.prefix { $0 != "|" }), arity: -2, [], [], since: "1.0.0", summary: "Not for MONITOR",
        complexity: "",
        run: .container)
      rows.subcommand(
        name, arity: -2, [.admin], [], since: "1.0.0", summary: "Not for MONITOR", complexity: "", run: unserved)
    }
  }

  // MARK: Commands

  /// Runs one command, written as in `redis-cli` (words, `"quoted \x00 bytes"`), in a batch of its own.
  /// - Returns: the raw reply. Every byte of it is one Unicode scalar, so binary replies compare exactly.
  @discardableResult
  func run(_ line: String) -> String {
    var parser = RequestParser()
    var arguments = ArgumentList()
    let bytes = Array(line.utf8) + [0x0D, 0x0A]
    return bytes.withUnsafeBytes { raw in
      guard let start = raw.baseAddress,
        case .command = parser.next(start, count: raw.count, limits: RequestLimits(), into: &arguments)
      else { fatalError("not a command: \(line)") }
      return run(arguments)
    }
  }

  /// Runs one command whose arguments are given as they are: binary, or too long for a line.
  @discardableResult
  func run(_ arguments: [[UInt8]]) -> String { run(ArgumentList(arguments)) }

  private func run(_ arguments: borrowing ArgumentList) -> String {
    let single = !inBatch
    if single { begin() }
    executor.reply.protocolVersion = protocolVersion
    executor.reply.removeAll()
    outcome = executor.execute(arguments, session)
    if case .suspended(.turn) = outcome {
      // The connection has had its turn in this batch: as the server does, the command is executed anew in the next one.
      precondition(!single, "a turn that was over at the begin of a batch")
      end()
      begin()
      turnsEnded += 1
      outcome = executor.execute(arguments, session)
    }
    let reply = executor.reply.bytes.reduce(into: "") { $0.unicodeScalars.append(Unicode.Scalar($1)) }
    if single { end() }
    return reply
  }

  /// Runs what `body` runs in one batch, as the commands of one read of a socket: in several if a turn ends meanwhile.
  func batch(_ body: () -> Void) {
    begin()
    body()
    end()
  }

  private func begin() {
    precondition(!inBatch, "batches do not nest")
    inBatch = true
    executor.attention = attention
    executor.beginBatch(
      now: WallClock(milliseconds: now), tick: tick, good: Gate(durable: good, committed: good),
      takesWrites: takesWrites)
  }

  private func end() {
    _ = executor.endBatch()
    inBatch = false
  }

  // MARK: The log

  /// Records appended so far.
  var records: UInt64 { store.lastAppended }

  /// How many records `body` appends.
  func recordsAppended(by body: () -> Void) -> UInt64 {
    let before = records
    body()
    return records - before
  }

  /// The sizes of the units in the log after `lsn`, oldest first: 1 for every record that stands alone.
  func units(after lsn: UInt64) -> [Int] {
    var sizes: [Int] = []
    var open = 0
    forEachRecord(after: lsn) { record in
      open += 1
      if record.unitContinues { return }
      sizes.append(open)
      open = 0
    }
    precondition(open == 0, "the last unit is not closed")
    return sizes
  }

  /// Walks over the log's records after `lsn`.
  func forEachRecord(after lsn: UInt64, _ body: (RecordView) -> Void) {
    guard records > lsn else { return }
    begin()
    defer { end() }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 8)
    defer { buffer.deallocate() }
    var cursor = LogCursor.unplaced
    cursor.next = LSN(lsn + 1)
    while cursor.next.value <= records {
      var needed = 0
      guard let run = try? store.read(&cursor, upTo: LSN(records), into: buffer, bytesNeeded: &needed) else {
        fatalError("the log cannot be read at \(cursor.next): \(needed) bytes needed")
      }
      var at = 0
      while at < run.bytes, let start = buffer.baseAddress {
        let record = RecordView(UnsafeRawPointer(start + at))
        body(record)
        at += record.recordBytes
      }
    }
  }
}

/// The server around the executor, played.
final class StubServices: ServerServices {
  private let lines = Mutex<[String]>([])
  var monitorLines: [String] { lines.withLock { $0 } }

  private let configuredPassword = Mutex<[UInt8]?>(nil)
  var password: [UInt8]? {
    get { configuredPassword.withLock { $0 } }
    set { configuredPassword.withLock { $0 = newValue } }
  }
  let redisVersion = "7.0.15"
  /// Every look at it finds the clock so much further.
  let nanosecondsPerLook = Mutex<UInt64>(0)
  private let clock = Mutex<UInt64>(0)
  var nanoseconds: UInt64 {
    let step = nanosecondsPerLook.withLock { $0 }
    return clock.withLock { clock in
      clock += step
      return clock
    }
  }
  let roleName = "master"

  func readOnlyError() -> String { "READONLY You can't write against a read only replica." }
  func feedMonitors(_ line: String) { lines.withLock { $0.append(line) } }
}
