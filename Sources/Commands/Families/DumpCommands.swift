// Raw memory: values are serialised into the reply, and read from where the client's bytes lie.
import LogStore
import RESP

/// DUMP and RESTORE: values in Redis's own serialisation, so that tools copy both ways.
enum DumpCommands {
  /// DUMP key
  static func dump(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    guard let record = keys.counted(try keys.read(arguments[1], in: session.database)) else {
      return executor.reply.null()
    }
    let value = record.value
    StringPayload.write(value, into: executor.reply.bulkUninitialized(StringPayload.byteCount(of: value)))
  }

  /// RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
  static func restore(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let keys = executor.keys
    let options = try RestoreOptions(arguments)
    // Before the write lock, for it takes time; what is wrong with it is said after all else.
    let content = Result { () throws(CommandFailure) in try stored(in: arguments[3], keys) }
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = keys.live(target)
    if old != nil, !options.replaces { throw .text("BUSYKEY Target key name already exists.") }
    guard var expiry = parseInteger(arguments[2]) else { throw .notInteger }
    guard expiry >= 0 else { throw .text("ERR Invalid TTL value, must be >= 0") }
    let value = try content.get()
    if expiry > 0, !options.isAbsolute { expiry = expiry &+ Int64(clamping: keys.now) }
    if expiry != 0, expiry <= Int64(clamping: keys.now) {
      if old != nil { try keys.remove(target, key: key) }
    } else {
      try keys.put(target, key: key, value: value, expiry: UInt64(expiry), in: session.database)
    }
    executor.reply.ok()
  }

  private struct RestoreOptions {
    var replaces = false
    /// The time to live is a moment.
    var isAbsolute = false

    init(_ arguments: borrowing ArgumentList) throws(CommandFailure) {
      // Read and checked for tools that send them; nothing here evicts by them.
      var idle: Int64?
      var frequency: Int64?
      var i = 4
      while i < arguments.count {
        let hasMore = i + 1 < arguments.count
        if equalsIgnoringCase(arguments[i], "replace") {
          replaces = true
        } else if equalsIgnoringCase(arguments[i], "absttl") {
          isAbsolute = true
        } else if hasMore, frequency == nil, equalsIgnoringCase(arguments[i], "idletime") {
          i += 1
          idle = try integer(arguments[i])
          guard let idle, idle >= 0 else { throw .text("ERR Invalid IDLETIME value, must be >= 0") }
        } else if hasMore, idle == nil, equalsIgnoringCase(arguments[i], "freq") {
          i += 1
          frequency = try integer(arguments[i])
          guard let frequency, 0...255 ~= frequency else {
            throw .text("ERR Invalid FREQ value, must be >= 0 and <= 255")
          }
        } else {
          throw .syntax
        }
        i += 1
      }
    }
  }

  /// The value that a payload holds: in the payload, or in memory that is valid until the next command.
  private static func stored(
    in payload: UnsafeRawBufferPointer, _ keys: KeyAccess
  ) throws(CommandFailure) -> UnsafeRawBufferPointer {
    let content: StringPayload.Content
    do throws(StringPayload.Failure) {
      content = try StringPayload.read(payload)
    } catch {
      switch error {
      case .footer: throw .text("ERR DUMP payload version or checksum are wrong")
      case .malformed: throw .text("ERR Bad data format")
      case .collection: throw .text("ERR Bad data format: the payload is no string, and this server keeps strings only")
      }
    }
    switch content {
    case .plain(let bytes): return bytes
    case .integer(let number):
      let room = try keys.room(formattedIntegerBytesMax)
      guard let start = room.baseAddress else { throw .outOfMemory }
      return UnsafeRawBufferPointer(start: start, count: formatInteger(Int64(number), at: start))
    case .compressed(let bytes, let count):
      guard count <= keys.store.configuration.valueBytesMax else { throw .valueTooLong }
      let room = UnsafeMutableRawBufferPointer(rebasing: try keys.room(count)[..<count])
      guard LZF.expand(bytes, into: room) else { throw .text("ERR Bad data format") }
      return UnsafeRawBufferPointer(room)
    }
  }
}
