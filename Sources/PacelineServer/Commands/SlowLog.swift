import Commands
import Core
import RESP
import Synchronization

/// The newest commands that took long. Bounded in entries, arguments of an entry and bytes of an argument, as in Redis.
final class SlowLog: Sendable {
  struct Entry: Sendable {
    let id: Int64
    /// Seconds since 1970.
    let time: UInt64
    let microseconds: UInt64
    let arguments: [[UInt8]]
    let address: String
    let name: String
  }
  private struct State {
    /// Oldest first.
    var entries: [Entry] = []
    var nextID: Int64 = 0
    var entriesMax = 128
  }
  private let state = Mutex(State())
  private let threshold = Atomic<Int>(10_000)

  private static let argumentsMax = 32
  private static let argumentBytesMax = 128

  /// Below this many microseconds even the fast commands have to be timed to be found.
  static let fineMicroseconds = 1000

  func configure(thresholdMicroseconds: Int, entriesMax: Int) {
    threshold.store(thresholdMicroseconds, ordering: .relaxed)
    state.withLock { state in
      state.entriesMax = entriesMax
      if state.entries.count > entriesMax { state.entries.removeFirst(state.entries.count - entriesMax) }
    }
  }

  /// Keeps the command if it took long enough.
  func note(
    _ row: CommandRow, _ arguments: borrowing ArgumentList, _ session: Session, microseconds: UInt64, wall: WallClock
  ) {
    let threshold = threshold.load(ordering: .relaxed)
    guard threshold >= 0, microseconds >= UInt64(threshold) else { return }
    let kept = Self.kept(row, arguments)
    state.withLock { state in
      guard state.entriesMax > 0 else { return }
      if state.entries.count >= state.entriesMax {
        state.entries.removeFirst(state.entries.count + 1 - state.entriesMax)
      }
      state.entries.append(
        Entry(
          id: state.nextID, time: wall.milliseconds / 1000, microseconds: microseconds, arguments: kept,
          address: session.address, name: session.name))
      state.nextID += 1
    }
  }

  /// The arguments, cut as Redis cuts them, passwords left out.
  private static func kept(_ row: CommandRow, _ arguments: borrowing ArgumentList) -> [[UInt8]] {
    var kept: [[UInt8]] = []
    var secrets = SecretFinder(row)
    for i in 0..<arguments.count {
      if arguments.count > argumentsMax, i == argumentsMax - 1 {
        kept.append(Array("... (\(arguments.count - i) more arguments)".utf8))
        break
      }
      let argument = arguments[i]
      if secrets.isSecret(argument) {
        kept.append(Array("(redacted)".utf8))
      } else if argument.count > argumentBytesMax {
        kept.append(
          Array(argument.prefix(argumentBytesMax)) + Array("... (\(argument.count - argumentBytesMax) more bytes)".utf8)
        )
      } else {
        kept.append(Array(argument))
      }
    }
    return kept
  }

  /// Newest first.
  func newest(_ count: Int) -> [Entry] { state.withLock { $0.entries.suffix(count).reversed() } }
  var count: Int { state.withLock { $0.entries.count } }
  func reset() { state.withLock { $0.entries = [] } }
}

extension ServerCore {
  /// SLOWLOG LEN
  func slowLogLength(_ executor: Executor) { executor.reply.integer(Int64(service.slowLog.count)) }

  /// SLOWLOG RESET
  func resetSlowLog(_ executor: Executor) {
    service.slowLog.reset()
    executor.reply.ok()
  }

  /// SLOWLOG GET [count]
  func slowLogEntries(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    guard arguments.count <= 3 else { return executor.reply.subcommandSyntaxError(arguments) }
    var count = 10
    if arguments.count == 3 {
      guard let number = parseInteger(arguments[2]), number >= -1 else {
        throw .text("ERR count should be greater than or equal to -1")
      }
      count = number < 0 ? Int.max : Int(number)
    }
    let entries = service.slowLog.newest(count)
    executor.reply.array(entries.count)
    for entry in entries {
      executor.reply.array(6)
      executor.reply.integer(entry.id)
      executor.reply.integer(Int64(clamping: entry.time))
      executor.reply.integer(Int64(clamping: entry.microseconds))
      executor.reply.array(entry.arguments.count)
      for argument in entry.arguments { executor.reply.bulk(argument) }
      executor.reply.bulk(entry.address)
      executor.reply.bulk(entry.name)
    }
  }

  /// The slow log follows the configuration.
  func configureSlowLog(_ settings: ServerConfiguration) {
    service.slowLog.configure(
      thresholdMicroseconds: settings.slowlogMicroseconds, entriesMax: settings.slowlogEntriesMax)
    if (0..<SlowLog.fineMicroseconds).contains(settings.slowlogMicroseconds) {
      service.watch(.timed)
    } else {
      service.ignore(.timed)
    }
  }
}
