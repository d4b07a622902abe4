import Benchmark
import Commands
import Core
import LogStore
import RESP

/// The server around the executor, of which data commands ask nothing.
final class StubServices: ServerServices {
  let password: [UInt8]? = nil
  let redisVersion = "7.0.15"
  let roleName = "master"
  func readOnlyError() -> String { "READONLY You can't write against a read only replica." }
  func feedMonitors(_ line: String) {}
}

/// What an event loop does with the bytes of one read, but for the socket.
final class ExecutorState {
  let stores: StoreState
  var executor: Executor
  let session = Session(id: 1, authenticated: true)
  let pipelines: Strings
  let services = StubServices()
  let limits = RequestLimits()
  var parser = RequestParser()
  var arguments = ArgumentList()

  init(_ command: String, _ more: [[UInt8]] = [], numbers: Bool = false) throws {
    stores = try StoreState(filled: true)
    executor = Executor(store: stores.store, services: services)
    let name = Array(command.utf8)
    pipelines = DataPath.pipelines(64, keys: 100_000) { key in
      [name, numbers ? Array("number:".utf8) + key : key] + more
    }
    // Every pipeline once: keys, buffers and tables are there.
    for _ in 0..<pipelines.count { run() }
    precondition(executor.errorReplies == 0, "\(command) answers errors")
  }

  /// A new store if the log has become long.
  func prepare() throws {
    guard stores.store.lastAppended > StoreState.recordsMax else { return }
    try stores.startAnew()
    executor.use(stores.store)
    for _ in 0..<pipelines.count { run() }
  }

  func run() {
    let bytes = pipelines.turn()
    executor.beginBatch(
      now: WallClock(milliseconds: 1_700_000_000_000), tick: Tick(milliseconds: 0), good: .open, takesWrites: true)
    executor.reply.removeAll(keepingCapacity: true)
    var at = 0
    while at < bytes.count,
      case .command(let consumed) = parser.next(
        bytes.baseAddress! + at, count: bytes.count - at, limits: limits, into: &arguments)
    {
      _ = executor.execute(arguments, session)
      at += consumed
    }
    _ = executor.endBatch()
    blackHole(executor.reply.count)
  }
}

func executing() {
  func batch(_ command: String, _ more: [[UInt8]] = [], numbers: Bool = false, named name: String? = nil) {
    add("Executor \(name ?? command) batch of 64", operations: 64) {
      try ExecutorState(command, more, numbers: numbers)
    } prepare: {
      try $0.prepare()
    } round: {
      $0.run()
    }
  }
  batch("GET")
  batch("SET", [value])
  batch("SET", [value, Array("EX".utf8), Array("1000".utf8)], named: "SET EX")
  batch("INCR", numbers: true)
  batch("EXISTS")
  batch("TTL")
}
