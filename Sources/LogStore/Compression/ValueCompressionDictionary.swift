// Raw memory: dictionaries and samples are handed to zstd where they lie.
import CZstd
import Core

// The dictionaries of a data file, between its header and its first record: all of what follows twice, so that damage in
// one copy costs nothing (once in files of format 1). Little endian.
//
//  offset size name       meaning
//       0    4 count      dictionaries, at most 4096; tables rise
//       4    4 zero
//  then for each dictionary:
//       0    4 table      id of the table whose values need it
//       4    4 bytes      its size, at most 128 KiB
//       8    4 checksum   crc32c of bytes 0..<8 and of the dictionary
//      12    4 zero
//      16    . dictionary, as zstd's trainer made it, then zeros up to a multiple of 8
//
// A dictionary is immutable and goes with its file: what leaves the file record by record is expanded first.

/// A dictionary of zstd, ready for use. Many threads may use one at a time.
public final class ValueDictionary: @unchecked Sendable {
  // Safe to share: everything is made in `init` and only read afterwards; zstd allows that.
  public static let bytesMax = 128 << 10
  public let bytes: [UInt8]
  /// Values name it; never 0.
  public let id: UInt32
  let forExpansion: OpaquePointer
  let forCompression: OpaquePointer?

  /// - Parameters:
  ///   - level: for those who compress with it; nil for readers, which need a fraction of the memory.
  /// - Returns: nil if the bytes are no dictionary of zstd's trainer, or there is no memory.
  public init?(_ bytes: [UInt8], level: Int32? = nil) {
    guard bytes.count > 8, bytes.count <= Self.bytesMax else { return nil }
    id = bytes.withUnsafeBytes { ZSTD_getDictID_fromDict($0.baseAddress, $0.count) }
    guard id != 0, let expansion = bytes.withUnsafeBytes({ ZSTD_createDDict($0.baseAddress, $0.count) }) else {
      return nil
    }
    forExpansion = expansion
    self.bytes = bytes
    if let level {
      forCompression = bytes.withUnsafeBytes { ZSTD_createCDict($0.baseAddress, $0.count, level) }
    } else {
      forCompression = nil
    }
    if level != nil, forCompression == nil { return nil }
  }

  deinit {
    ZSTD_freeDDict(forExpansion)
    if let forCompression { ZSTD_freeCDict(forCompression) }
  }
}

/// Collects values of one table and trains a dictionary from them. The same values give the same dictionary.
public struct DictionaryTrainer {
  /// Samples that are kept; what comes behind is not looked at, so give it values from all over the file.
  public static let sampleBytesMax = 2 << 20
  /// The beginning of a longer value is its sample: a dictionary is for what values begin with.
  public static let sampleValueBytesMax = 4096
  public static let samplesMin = 64
  /// A sixteenth of the samples, or what is left, judges.
  private static let judgeEvery = 16

  private var samples: [UInt8] = []
  private var sizes: [Int] = []
  private var judges: [[UInt8]] = []
  private var given = 0
  public init() {}

  public var isFull: Bool { samples.count >= Self.sampleBytesMax }

  public mutating func add(_ value: UnsafeRawBufferPointer) {
    guard value.count >= 8, !isFull else { return }
    let sample = value.prefix(Self.sampleValueBytesMax)
    given += 1
    if given % Self.judgeEvery == 0 {
      judges.append([UInt8](sample))
    } else {
      samples.append(contentsOf: sample)
      sizes.append(sample.count)
    }
  }

  public struct Trained {
    public let dictionary: ValueDictionary
    /// Estimated bytes that the dictionary saves in the values that it is for, beyond plain zstd, less its own size.
    public let savedBytes: Int
  }

  /// Trains a dictionary of at most 16 to 64 KiB, a thirty-second of the samples.
  /// - Parameters:
  ///   - totalValueBytes: of the values that it is for, not only of the samples.
  /// - Returns: nil if there are too few samples, or if it does not pay: it saves less than twice its size, or less than
  ///   a thirty-second of the values. Costs up to a second of processor time.
  public func train(totalValueBytes: Int, level: Int32 = ValueCompressor.zstdLevel) -> Trained? {
    guard sizes.count >= Self.samplesMin, judges.count > 0 else { return nil }
    let capacity = min(max(samples.count / 32, 16 << 10), 64 << 10)
    guard samples.count >= 8 * capacity else { return nil }
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { room, count in
      let result = samples.withUnsafeBytes {
        ZDICT_trainFromBuffer(room.baseAddress, capacity, $0.baseAddress, sizes, UInt32(sizes.count))
      }
      count = ZDICT_isError(result) != 0 ? 0 : result
    }
    guard let dictionary = ValueDictionary(bytes, level: level) else { return nil }
    let compressor = ValueCompressor()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.sampleValueBytesMax, alignment: 8)
    defer { room.deallocate() }
    var raw = 0
    var saved = 0
    for judge in judges {
      judge.withUnsafeBytes { value in
        let plain = compressor.compress(.zstd, value, level: level, into: room) ?? value.count
        let better = compressor.compress(.zstd, value, level: level, dictionary: dictionary, into: room) ?? value.count
        raw += value.count
        saved += plain - better
      }
    }
    let estimate = Int(Double(saved) / Double(raw) * Double(totalValueBytes))
    guard estimate >= 2 * bytes.count, estimate >= totalValueBytes / 32 else { return nil }
    return Trained(dictionary: dictionary, savedBytes: estimate - bytes.count)
  }
}

/// Why the dictionaries of a data file cannot be used.
public struct DictionaryDamage: Error, Equatable, Sendable, CustomStringConvertible {
  public let offset: Int
  public let reason: String
  public var description: String { "\(reason) at offset \(offset) of the dictionaries" }
}

extension ValueDictionary {
  public static let countMax = 4096
  static let entryBytes = 16

  /// What stands between a data file's header and its records: a multiple of 8 bytes; nothing without dictionaries.
  public static func encode(_ dictionaries: [UInt32: ValueDictionary]) -> [UInt8] {
    if dictionaries.isEmpty { return [] }
    precondition(dictionaries.count <= countMax, "\(dictionaries.count) dictionaries in one data file")
    var out = ByteWriter(capacity: 8 + dictionaries.values.reduce(0) { $0 + entryBytes + $1.bytes.count + 7 })
    out.u32(UInt32(dictionaries.count))
    out.u32(0)
    for (table, dictionary) in dictionaries.sorted(by: { $0.key < $1.key }) {
      out.u32(table)
      out.u32(UInt32(dictionary.bytes.count))
      out.u32(checksum(table: table, dictionary.bytes))
      out.u32(0)
      out.raw(dictionary.bytes)
      out.raw(repeatElement(0, count: -dictionary.bytes.count & 7))
    }
    return out.bytes
  }

  /// Reads what `encode` wrote: exactly all of `bytes`.
  public static func decode(_ bytes: UnsafeRawBufferPointer) throws(DictionaryDamage) -> [UInt32: ValueDictionary] {
    if bytes.isEmpty { return [:] }
    guard bytes.count >= 8, bytes.count % 8 == 0, let start = bytes.baseAddress else {
      throw DictionaryDamage(offset: 0, reason: "\(bytes.count) bytes")
    }
    let count = Int(start.u32(0))
    guard count > 0, count <= countMax, start.u32(4) == 0 else {
      throw DictionaryDamage(offset: 0, reason: "a count of \(count)")
    }
    var found: [UInt32: ValueDictionary] = [:]
    var previous: UInt32?
    var at = 8
    for _ in 0..<count {
      guard bytes.count - at >= entryBytes else { throw DictionaryDamage(offset: at, reason: "an entry is cut off") }
      let table = start.u32(at)
      let size = Int(start.u32(at + 4))
      let padded = (size + 7) & ~7
      guard size <= bytesMax, bytes.count - at - entryBytes >= padded, start.u32(at + 12) == 0 else {
        throw DictionaryDamage(offset: at, reason: "a dictionary of \(size) bytes")
      }
      if let previous, table <= previous { throw DictionaryDamage(offset: at, reason: "tables out of order") }
      previous = table
      let content = [UInt8](bytes[at + entryBytes..<at + entryBytes + size])
      guard checksum(table: table, content) == start.u32(at + 8),
        bytes[at + entryBytes + size..<at + entryBytes + padded].allSatisfy({ $0 == 0 })
      else { throw DictionaryDamage(offset: at, reason: "a checksum that does not match") }
      guard let dictionary = ValueDictionary(content) else {
        throw DictionaryDamage(offset: at, reason: "no dictionary of zstd")
      }
      found[table] = dictionary
      at += entryBytes + padded
    }
    guard at == bytes.count else { throw DictionaryDamage(offset: at, reason: "\(bytes.count - at) bytes too many") }
    return found
  }

  /// What stands between a data file's header and its records: both copies.
  public static func encodeHead(_ dictionaries: [UInt32: ValueDictionary]) -> [UInt8] {
    let copy = encode(dictionaries)
    return copy + copy
  }

  /// Reads what `encodeHead` wrote, or `encode` in a file of format 1.
  /// - Returns: the dictionaries, and what is wrong with one of the copies.
  public static func decodeHead(
    _ bytes: UnsafeRawBufferPointer
  ) throws(DictionaryDamage) -> (dictionaries: [UInt32: ValueDictionary], damage: DictionaryDamage?) {
    if bytes.isEmpty { return ([:], nil) }
    let half = bytes.count / 2
    var damage: DictionaryDamage?
    var good: [UInt32: ValueDictionary]?
    for copy in [bytes.prefix(half), bytes.dropFirst(half)] where half % 8 == 0 {
      do throws(DictionaryDamage) {
        let read = try decode(UnsafeRawBufferPointer(rebasing: copy))
        good = good ?? read
      } catch {
        damage = damage ?? error
      }
    }
    if let good { return (good, damage) }
    return (try decode(bytes), nil)
  }

  private static func checksum(table: UInt32, _ bytes: [UInt8]) -> UInt32 {
    var head = ByteWriter(capacity: 8)
    head.u32(table)
    head.u32(UInt32(bytes.count))
    return CRC32C.checksum(bytes, seed: CRC32C.checksum(head.bytes))
  }
}
