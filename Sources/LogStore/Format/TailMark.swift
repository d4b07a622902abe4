// Raw memory: marks are read from mapped files.
import Core

/// What stands behind the records of a file that may still grow; the byte table is in `SegmentFormat.swift`.
public enum TailMark {
  public static let magic: UInt64 = 0x0100_4C49_4154_4C50  // "PLTAIL\0\1"
  public static let bytes = 32

  public static func encoded(end: Int, flushed: Int) -> [UInt8] {
    var out = ByteWriter(capacity: bytes)
    out.u64(magic)
    out.u64(UInt64(end))
    out.u64(UInt64(flushed))
    out.u32(0)
    out.u32(CRC32C.checksum(out.bytes))
    return out.bytes
  }

  /// The `flushed` of a good mark at `offset`, nil if none is there.
  public static func flushed(_ file: UnsafeRawBufferPointer, at offset: Int) -> Int? {
    guard offset >= 0, file.count - offset >= bytes, let base = file.baseAddress.map({ $0 + offset }) else {
      return nil
    }
    guard base.u64(0) == magic, base.u64(8) == UInt64(offset), base.u64(16) <= UInt64(offset),
      CRC32C.checksum(base, count: 28) == base.u32(28)
    else { return nil }
    return Int(base.u64(16))
  }

  /// The highest `flushed` of all marks at or behind `from`; 0 if there is none.
  public static func highestFlushed(_ file: UnsafeRawBufferPointer, from: Int) -> Int {
    var highest = 0
    var at = (from + 7) & ~7
    while at + bytes <= file.count {
      if let flushed = flushed(file, at: at) { highest = max(highest, flushed) }
      at += 8
    }
    return highest
  }

  /// Offset behind the last byte that is not zero, `from` if all are.
  package static func lastNonZero(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int {
    var end = bytes.count
    while end >= from + 8, bytes.baseAddress!.u64(end - 8) == 0 { end -= 8 }
    while end > from, bytes[end - 1] == 0 { end -= 1 }
    return end
  }
}
