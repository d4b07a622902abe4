import LogStore
import RESP

/// Why a command was refused. A trivial value: throwing it allocates nothing.
package enum CommandFailure: Error {
  case syntax
  case notInteger
  case notFloat
  case overflow
  case outOfRange
  case corrupt
  case readOnly
  case keyTooLong
  case valueTooLong
  case outOfMemory
  case unitTooLarge
  /// The disk is full.
  case noSpace
  /// The log cannot be written any more.
  case logFailed
  /// Too many writes wait for slaves.
  case queueFull
  case noSuchKey
  case databaseOutOfRange
  /// A whole reply line without `-` and CRLF.
  case text(StaticString)
  /// Of the command that runs; so is the next one.
  case wrongArgumentCount
  case invalidExpireTime
}

extension Executor {
  /// Writes the error of a failure of the command of this name.
  func answer(_ failure: CommandFailure, _ name: @autoclosure () -> String) {
    switch failure {
    case .syntax: reply.error("ERR syntax error")
    case .notInteger: reply.error("ERR value is not an integer or out of range")
    case .notFloat: reply.error("ERR value is not a valid float")
    case .overflow: reply.error("ERR increment or decrement would overflow")
    case .outOfRange: reply.error("ERR offset is out of range")
    case .corrupt:
      reply.error(
        "CORRUPT the stored record is damaged and no value is served; see the server's log, INFO and paceline inspect")
    case .readOnly: reply.error(services.readOnlyError())
    case .keyTooLong:
      reply.error("ERR key is too long: at most \(store.configuration.keyBytesMax) bytes (key-bytes-max)")
    case .valueTooLong: reply.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    case .unitTooLarge: reply.error("OOM the transaction would append more than 256 MiB to the log")
    case .outOfMemory: reply.error("OOM command not allowed: the system has no memory for another log segment")
    case .noSpace:
      reply.error("NOSPACE no room for the log (\(refusalText)); reads go on, writes are taken again when there is")
    case .logFailed:
      reply.error(
        "MISCONF the log cannot be written (\(refusalText)); reads go on, writes need a restart after the disk is repaired"
      )
    case .queueFull:
      reply.error(
        "SYNCQUEUE too many writes wait for slaves (unsynced-records, unsynced-bytes); this one was not done")
    case .noSuchKey: reply.error("ERR no such key")
    case .databaseOutOfRange: reply.error("ERR DB index is out of range")
    case .text(let text): reply.error(text)
    case .wrongArgumentCount: reply.wrongArgumentCount(of: name())
    case .invalidExpireTime: reply.error("ERR invalid expire time in '\(name())' command")
    }
  }

  private var refusalText: String {
    switch store.writeRefusal {
    case .failed(let text), .noSpace(let text): text
    default: "unknown"
    }
  }
}
