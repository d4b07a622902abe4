import Commands
import LogStore
import RESP

/// MEMORY.
extension ServerCore {
  func memoryDoctor(_ executor: Executor) { executor.reply.verbatim(Self.healthyText) }

  func allocatorStatistics(_ executor: Executor) {
    executor.reply.verbatim("Stats not supported for the current allocator")
  }

  /// MEMORY PURGE. Nothing is hoarded: segments are given back as they are dropped.
  func memoryPurge(_ executor: Executor) { executor.reply.ok() }

  /// MEMORY USAGE key [SAMPLES count]: the record in the log, as it is stored, and its share of the key index.
  func memoryUsage(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    var i = 3
    while i < arguments.count {
      guard equalsIgnoringCase(arguments[i], "samples"), i + 1 < arguments.count else { throw .syntax }
      guard let samples = parseInteger(arguments[i + 1]) else { throw .notInteger }
      guard samples >= 0 else { throw .syntax }
      i += 2
    }
    guard let record = try executor.keys.readStored(arguments[2], in: session.database) else {
      return executor.reply.null()
    }
    executor.reply.integer(Int64(record.recordBytes + Self.indexBytesPerKey))
  }
  /// An entry of 8 bytes in a table two thirds full.
  private static let indexBytesPerKey = 12

  func memoryStatistics(_ executor: Executor) {
    let memory = ProcessFigures.memory
    let (figures, keys) = still(executor) { store, access in
      (store.figures(access), (0..<store.databases).map { store.keyCount($0) })
    }
    let total = keys.reduce(0, +)
    let used = Int64(clamping: memory.used)
    let peak = Int64(clamping: service.statistics.memoryPeak(atLeast: memory.used))
    let data = Int64(figures.residentBytes)
    let overhead = max(0, used - data)
    var pairs = 0
    func pair(_ name: StaticString, _ value: Int64) {
      executor.reply.bulk(name)
      executor.reply.integer(value)
      pairs += 1
    }
    func ratio(_ name: StaticString, _ value: Double) {
      executor.reply.bulk(name)
      executor.reply.double(value)
      pairs += 1
    }
    let filled = keys.indices.filter { keys[$0] > 0 }
    // What is announced is what is written, whatever is added below.
    let mark = executor.reply.beginArray()
    pair("peak.allocated", peak)
    pair("total.allocated", used)
    pair("startup.allocated", 0)
    pair("replication.backlog", 0)
    pair("clients.slaves", 0)
    pair("clients.normal", 0)
    pair("cluster.links", 0)
    pair("aof.buffer", 0)
    pair("lua.caches", 0)
    pair("functions.caches", 0)
    for database in filled {
      executor.reply.bulk("db.\(database)")
      executor.reply.map(3)
      let outer = pairs
      pair("overhead.hashtable.main", Int64(keys[database]) * Int64(Self.indexBytesPerKey))
      pair("overhead.hashtable.expires", 0)
      pair("overhead.hashtable.slot-to-keys", 0)
      pairs = outer + 1
    }
    pair("overhead.total", overhead)
    pair("keys.count", Int64(total))
    pair("keys.bytes-per-key", total == 0 ? 0 : used / Int64(total))
    pair("dataset.bytes", data)
    ratio("dataset.percentage", used == 0 ? 0 : Double(data) * 100 / Double(used))
    ratio("peak.percentage", peak == 0 ? 0 : Double(used) * 100 / Double(peak))
    pair("index.bytes", Int64(figures.indexBytes))
    ratio("fragmentation", used == 0 ? 0 : Double(memory.resident) / Double(used))
    pair("fragmentation.bytes", Int64(clamping: memory.resident) - used)
    executor.reply.endMap(mark, pairs: pairs)
  }

  private static let healthyText =
    "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
}
