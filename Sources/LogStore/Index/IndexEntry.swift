/// Where a record is: segment slot (17 bits) and offset in units of 8 bytes (23 bits), with 24 bits of the key's hash
/// above them. One word, so that readers see a place whole or not at all.
public struct IndexEntry: Equatable, Sendable {
  public var word: UInt64
  @inlinable @inline(__always) public init(word: UInt64) { self.word = word }
  @inlinable @inline(__always) public init(tag: UInt64, segment: Int, offset: Int) {
    word = tag << 40 | UInt64(truncatingIfNeeded: segment) << 23 | UInt64(truncatingIfNeeded: offset >> 3)
  }
  @inlinable @inline(__always) public var tag: UInt64 { word >> 40 }
  @inlinable @inline(__always) public var segment: Int { Int(truncatingIfNeeded: (word >> 23) & 0x1FFFF) }
  @inlinable @inline(__always) public var offset: Int { Int(truncatingIfNeeded: word & 0x7FFFFF) << 3 }

  /// Segment slot and MiB of its file, as one number: 64 buckets a slot.
  @inlinable @inline(__always) var bucket: Int { Int(truncatingIfNeeded: (word & 0xFF_FFFF_FFFF) >> 17) }

  public static let empty = IndexEntry(word: 0)
  /// A slot whose key was deleted: probes go on past it. Segment slot 0 is never used, so no record has this word.
  public static let vacated = IndexEntry(word: 1)
  public static let segmentSlotsMax = 1 << 17
  public static let offsetMax = (1 << 26) - 8
}

/// The hash of a key, cut into the parts that the index uses.
public struct IndexHash: Sendable {
  public let value: UInt64
  @inlinable @inline(__always) public init(_ value: UInt64) { self.value = value }
  /// Which of 1024 partitions: the top 10 bits.
  @inlinable @inline(__always) public var partition: Int { Int(truncatingIfNeeded: value >> 54) }
  /// The next 24 bits: kept in the entry, and the home slot is computed from them alone, so that a partition grows
  /// without reading a single record.
  @inlinable @inline(__always) public var tag: UInt64 { (value >> 30) & 0xFF_FFFF }
}
