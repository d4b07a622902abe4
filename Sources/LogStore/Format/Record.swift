// Raw memory: the record format and the checked view of one record.
import Core

// One operation of the log. Little endian, records start at multiples of 8 bytes, the gap is zero.
//
//  offset size name          meaning
//       0    4 checksum      crc32c of bytes 4..<32; for compressed records of 4..<recordBytes
//       4    4 valueBytes    bytes of the value as stored
//       8    2 keyBytes
//      10    1 kind          1 put, 2 delete, 3 catalog, 4 no-op
//      11    1 flags         bit 0 expiry present, bit 1 the unit goes on with the next record,
//                            bit 2 fullsync, bit 3 quorum, bits 4-5 compression of the value (0 none),
//                            bit 6 reserved for the element of a collection, bit 7 must be 0
//      12    4 table         id of the table; never reused
//      16    8 LSN           +1 per record
//      24    4 term
//      28    4 contentHash   crc32c of the logical content: expiry, key, value before compression
//      32    8 expiry        only with flag bit 0: milliseconds since 1970 on the master's clock
//       .    . key, value
//
// Every term begins with a no-op, without key; its value is the id of the node that began it, 20 bytes.
//
// A compressed value is stored as u32 size before compression, then the compressed bytes (lz4: a block; zstd: one frame,
// which may need the dictionary of its table in its data file). Only puts are compressed.
//
// Without compression the two checksums cover every byte once: the header by `checksum`, the rest by `contentHash`.
// With compression `checksum` covers all of the record, so that it is checked, copied and replicated without being
// expanded; `contentHash` is checked when the value is.
// `contentHash` stays the same however the value is compressed later, so digests of compacted and raw logs agree.

public enum RecordKind: UInt8, Sendable {
  case put = 1
  case delete = 2
  case catalog = 3
  case noop = 4
}

public enum RecordFlag {
  public static let expiry: UInt8 = 1 << 0
  public static let unitContinues: UInt8 = 1 << 1
  /// As the bits of `RecordLevel`.
  public static let commitLevelMask: UInt8 = 3 << 2
  public static let compressionMask: UInt8 = 3 << 4
  public static let lz4: UInt8 = 1 << 4
  public static let zstd: UInt8 = 2 << 4
  public static let elementOfCollection: UInt8 = 1 << 6
  /// What this version knows how to read. A record with another bit set, or with both bits of compression, is
  /// refused as damaged or newer.
  public static let known: UInt8 = expiry | unitContinues | commitLevelMask | compressionMask
}

/// A view of one record in segment memory or in bytes that a peer sent. Unchecked: see `verify`.
///
/// Valid as long as its memory: inside an epoch for records found through the index.
public struct RecordView {
  public let base: UnsafeRawPointer
  @inlinable @inline(__always) public init(_ base: UnsafeRawPointer) { self.base = base }

  public static let headerBytes = 32
  public static let keyBytesMax = 65_535

  @inlinable @inline(__always) public var checksum: UInt32 { base.u32(0) }
  /// Bytes of the value as stored.
  @inlinable @inline(__always) public var valueBytes: Int { Int(base.u32(4)) }
  @inlinable @inline(__always) public var keyBytes: Int { Int(base.u16(8)) }
  @inlinable @inline(__always) public var kind: UInt8 { base.u8(10) }
  @inlinable @inline(__always) public var flags: UInt8 { base.u8(11) }
  @inlinable @inline(__always) public var table: UInt32 { base.u32(12) }
  @inlinable @inline(__always) public var lsn: UInt64 { base.u64(16) }
  @inlinable @inline(__always) public var term: UInt32 { base.u32(24) }
  @inlinable @inline(__always) public var contentHash: UInt32 { base.u32(28) }
  @inlinable @inline(__always) public var expiryBytes: Int { flags & RecordFlag.expiry != 0 ? 8 : 0 }
  /// Milliseconds since 1970; 0 for a record that does not expire.
  @inlinable @inline(__always) public var expiry: UInt64 { flags & RecordFlag.expiry != 0 ? base.u64(32) : 0 }
  @inlinable @inline(__always) public var keyStart: UnsafeRawPointer { base + (Self.headerBytes + expiryBytes) }
  @inlinable @inline(__always) public var key: UnsafeRawBufferPointer { .init(start: keyStart, count: keyBytes) }
  @inlinable @inline(__always) public var value: UnsafeRawBufferPointer {
    .init(start: keyStart + keyBytes, count: valueBytes)
  }
  @inlinable @inline(__always) public var isCompressed: Bool { flags & RecordFlag.compressionMask != 0 }
  /// Bytes of the value as it was written, before compression.
  @inlinable @inline(__always) public var rawValueBytes: Int {
    isCompressed ? Int((keyStart + keyBytes).u32(0)) : valueBytes
  }
  /// Bytes without the padding.
  @inlinable @inline(__always) public var contentEnd: Int { Self.headerBytes + expiryBytes + keyBytes + valueBytes }
  /// Bytes in the log, padding included.
  @inlinable @inline(__always) public var recordBytes: Int { (contentEnd + 7) & ~7 }
  @inlinable @inline(__always) public var unitContinues: Bool { flags & RecordFlag.unitContinues != 0 }
  /// The commit level at which it is good.
  @inlinable @inline(__always) public var level: RecordLevel {
    RecordLevel(rawValue: (flags & RecordFlag.commitLevelMask) >> 2).unsafelyUnwrapped
  }

  /// Of the no-op that begins a term: the node that began it. `unknown` for every other record.
  public var owner: NodeID {
    guard kind == RecordKind.noop.rawValue, keyBytes == 0, valueBytes == NodeID.byteCount else { return .unknown }
    return NodeID(random: [UInt8](value))
  }

  /// The space that a record takes in the log.
  @inlinable @inline(__always)
  public static func bytes(key: Int, value: Int, expires: Bool) -> Int {
    (headerBytes + (expires ? 8 : 0) + key + value + 7) & ~7
  }

  @inlinable @inline(__always)
  public func hasKey(_ bytes: UnsafeRawPointer, count: Int) -> Bool {
    keyBytes == count && sameBytes(keyStart, bytes, count)
  }

  public enum Verdict: Equatable { case good, incomplete, damaged }

  /// Checks lengths against `available` bytes, then both checksums. Never reads beyond `available`. O(record).
  public func verify(available: Int) -> Verdict {
    guard available >= Self.headerBytes else { return .incomplete }
    guard RecordKind(rawValue: kind) != nil, flags & ~RecordFlag.known == 0 else { return .damaged }
    if isCompressed {
      guard flags & RecordFlag.compressionMask != RecordFlag.compressionMask, kind == RecordKind.put.rawValue,
        valueBytes > CompressedValue.headBytes
      else { return .damaged }
    }
    guard recordBytes <= available else { return .incomplete }
    guard checksumsMatch, !isCompressed || CompressedValue.isPlausible(raw: rawValueBytes, stored: valueBytes) else {
      return .damaged
    }
    return .good
  }

  /// What `checksum` must be.
  @inlinable public var expectedChecksum: UInt32 {
    CRC32C.checksum(base + 4, count: (isCompressed ? recordBytes : Self.headerBytes) - 4)
  }

  /// Both checksums, for a record whose length is already known to be inside its memory. The content of a compressed
  /// record is covered by `checksum`; its `contentHash` is compared when it is expanded.
  @inlinable public var checksumsMatch: Bool {
    expectedChecksum == checksum
      && (isCompressed
        || CRC32C.checksum(base + Self.headerBytes, count: contentEnd - Self.headerBytes) == contentHash)
  }

  /// This record's share of its partition's digest.
  @inlinable @inline(__always) public var digest: UInt64 {
    Self.digest(lsn: lsn, contentHash: contentHash)
  }
  @inlinable @inline(__always) public static func digest(lsn: UInt64, contentHash: UInt32) -> UInt64 {
    KeyHash.mix(lsn ^ 0x9E37_79B9_7F4A_7C15, UInt64(contentHash) ^ 0xD6E8_FEB8_6659_FD93)
  }
}

/// Compares two runs of bytes in 8-byte words; keys are short, a call to memcmp costs more than the comparison.
@inlinable @inline(__always)
public func sameBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
  var at = 0
  while at + 8 <= count {
    if a.u64(at) != b.u64(at) { return false }
    at += 8
  }
  while at < count {
    if a.u8(at) != b.u8(at) { return false }
    at += 1
  }
  return true
}
