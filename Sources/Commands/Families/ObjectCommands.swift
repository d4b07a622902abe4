// Raw memory: looks at arguments and records where they lie; none outlives its batch.
import LogStore
import RESP

/// OBJECT: how a value is kept, in Redis's words. The encodings are those that Redis chooses for the value when it is SET.
enum ObjectCommands {
  /// OBJECT ENCODING key
  static func encoding(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard let record = executor.keys.counted(try executor.keys.read(arguments[2], in: session.database)) else {
      return executor.reply.null()
    }
    let isNumber = parseInteger(record.value) != nil
    executor.reply.bulk((isNumber ? "int" : record.valueBytes <= 44 ? "embstr" : "raw") as StaticString)
  }

  /// OBJECT REFCOUNT key. Redis shares the values 0 to 9999 among all keys and says so with this number.
  static func references(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard let record = executor.keys.counted(try executor.keys.read(arguments[2], in: session.database)) else {
      return executor.reply.null()
    }
    let isShared = parseInteger(record.value).map { $0 >= 0 && $0 < 10_000 } == true
    executor.reply.integer(isShared ? Int64(Int32.max) : 1)
  }

  /// OBJECT IDLETIME key. Accesses are not recorded.
  static func idleTime(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard executor.keys.counted(try executor.keys.read(arguments[2], in: session.database)) != nil else {
      return executor.reply.null()
    }
    executor.reply.integer(0)
  }

  /// OBJECT FREQ key
  static func frequency(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard executor.keys.counted(try executor.keys.read(arguments[2], in: session.database)) != nil else {
      return executor.reply.null()
    }
    throw .text(
      """
      ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
      between policies at runtime LRU and LFU data will take some time to adjust.
      """)
  }
}
