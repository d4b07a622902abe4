// Raw memory: values are changed on the way from the old record to the new one.
import LogStore
import RESP

/// The commands on bits of string values.
enum BitCommands {
  /// Bits are addressed up to Redis's limit of 512 MiB, also where values are not let grow so far.
  static var addressedBytesMax: Int { 512 << 20 }

  private static func bitOffset(_ text: UnsafeRawBufferPointer, bytesMax: Int) throws(CommandFailure) -> Int {
    guard let offset = parseInteger(text), offset >= 0, offset >> 3 < Int64(bytesMax) else {
      throw .text("ERR bit offset is not an integer or out of range")
    }
    return Int(offset)
  }

  /// GETBIT key offset
  static func getBit(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let offset = try bitOffset(arguments[2], bytesMax: Self.addressedBytesMax)
    guard let record = keys.counted(try keys.read(arguments[1], in: session.database)), offset >> 3 < record.valueBytes
    else {
      return executor.reply.integer(0)
    }
    executor.reply.integer(Int64(record.value[offset >> 3] >> (7 - UInt8(offset & 7)) & 1))
  }

  /// SETBIT key offset value
  static func setBit(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let offset = try bitOffset(arguments[2], bytesMax: keys.store.configuration.valueBytesMax)
    guard let bit = parseInteger(arguments[3]), bit == 0 || bit == 1 else {
      throw .text("ERR bit is not an integer or out of range")
    }
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    let oldBytes = old?.valueBytes ?? 0
    let byte = offset >> 3
    let mask = UInt8(0x80) >> UInt8(offset & 7)
    let before = if let old, byte < oldBytes { old.value[byte] } else { UInt8(0) }
    let after = bit == 1 ? before | mask : before & ~mask
    // Nothing changes, nothing is written.
    if byte >= oldBytes || after != before {
      let bytes = max(oldBytes, byte + 1)
      let place = try keys.beginPut(key: key, valueBytes: bytes, expiry: old?.expiry ?? 0, in: session.database)
      if let old { copy(old.value, to: place) }
      fillWithZeros(place + oldBytes, bytes - oldBytes)
      place.storeBytes(of: after, toByteOffset: byte, as: UInt8.self)
      keys.endPut(target)
    }
    executor.reply.integer(before & mask == 0 ? 0 : 1)
  }

  /// BITCOUNT key [start end [BYTE | BIT]]
  static func count(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    // A key that does not exist has no bits, whatever the arguments say: Redis looks at them afterwards.
    guard let record = keys.counted(try keys.read(arguments[1], in: session.database)) else {
      return executor.reply.integer(0)
    }
    let bits = BitView(bytes: record.value)
    if arguments.count == 2 { return executor.reply.integer(Int64(bits.setBits(in: 0..<bits.count))) }
    guard arguments.count == 4 || arguments.count == 5 else { throw .syntax }
    let start = try integer(arguments[2])
    let end = try integer(arguments[3])
    // Said before the unit is looked at, as Redis does.
    if isReversed(start, end) { return executor.reply.integer(0) }
    let inBits = arguments.count == 5 ? try namesBits(arguments[4]) : false
    let range = bitRange(start, end, inBits: inBits, of: bits)
    executor.reply.integer(Int64(bits.setBits(in: range ?? 0..<0)))
  }

  /// BITPOS key bit [start [end [BYTE | BIT]]]
  static func find(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    let bit = try integer(arguments[2])
    guard bit == 0 || bit == 1 else { throw .text("ERR The bit argument must be 1 or 0.") }
    guard let record = keys.counted(try keys.read(arguments[1], in: session.database)) else {
      return executor.reply.integer(bit == 0 ? 0 : -1)
    }
    guard arguments.count <= 6 else { throw .syntax }
    let bits = BitView(bytes: record.value)
    let start = arguments.count > 3 ? try integer(arguments[3]) : 0
    let inBits = arguments.count == 6 ? try namesBits(arguments[5]) : false
    let end = arguments.count > 4 ? try integer(arguments[4]) : -1
    guard let range = bitRange(start, end, inBits: inBits, of: bits) else { return executor.reply.integer(-1) }
    if let found = bits.first(bit == 1, in: range) { return executor.reply.integer(Int64(found)) }
    // Without an end, zeros are thought to follow the value.
    executor.reply.integer(bit == 0 && arguments.count < 5 ? Int64(bits.count) : -1)
  }

  private static func namesBits(_ word: UnsafeRawBufferPointer) throws(CommandFailure) -> Bool {
    if isWord(word, "BIT") { return true }
    guard isWord(word, "BYTE") else { throw .syntax }
    return false
  }

  /// The bits that `start` and `end` name, in bits or in bytes.
  private static func bitRange(_ start: Int64, _ end: Int64, inBits: Bool, of bits: BitView) -> Range<Int>? {
    if inBits { return clampedRange(start, end, length: bits.count) }
    guard let range = clampedRange(start, end, length: bits.bytes.count) else { return nil }
    return range.lowerBound * 8..<range.upperBound * 8
  }

  /// BITOP AND | OR | XOR | NOT destination key [key ...]
  static func combine(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    guard let operation = BitOperation(arguments[1]) else { throw .syntax }
    guard operation != .not || arguments.count == 4 else {
      throw .text("ERR BITOP NOT must be called with a single source key.")
    }
    // Under the write lock the sources are of one moment.
    try keys.beginWrite(in: session.database)
    var sources: [UnsafeRawBufferPointer] = []
    sources.reserveCapacity(arguments.count - 3)
    var bytes = 0
    for i in 3..<arguments.count {
      let record = keys.counted(try keys.read(arguments[i], in: session.database))
      sources.append(record?.value ?? UnsafeRawBufferPointer(start: nil, count: 0))
      bytes = max(bytes, record?.valueBytes ?? 0)
    }
    let key = arguments[2]
    let target = try keys.target(key, in: session.database)
    if bytes > 0 {
      let place = try keys.beginPut(key: key, valueBytes: bytes, expiry: 0, in: session.database)
      operation.combine(sources, into: UnsafeMutableRawBufferPointer(start: place, count: bytes))
      keys.endPut(target)
    } else if keys.live(target) != nil {
      try keys.remove(target, key: key)
    } else {
      try keys.noteAbsence(key, in: session.database)
    }
    executor.reply.integer(Int64(bytes))
  }
}
