// Raw memory: appends records whose values are compressed.
import Core
import Synchronization

/// How values are stored. Every node reads all of them, whatever it is set to.
public enum ValueCompression: String, Sendable, CaseIterable {
  case none
  /// Fresh values with lz4.
  case lz4
  /// Fresh values with lz4, those in compacted data files with zstd and a dictionary for each table.
  case zstd

  @inlinable var code: UInt8 {
    switch self {
    case .none: 0
    case .lz4: 1
    case .zstd: 2
    }
  }
}

/// The method of one stored value.
public enum ValueMethod: Sendable {
  case lz4, zstd
  /// Its bits in a record's flags.
  public var flag: UInt8 { self == .lz4 ? RecordFlag.lz4 : RecordFlag.zstd }
}

/// What a compressed value is, and when a value is worth compressing.
public enum CompressedValue {
  /// The size before compression stands before the compressed bytes.
  public static let headBytes = 4
  /// Shorter values are stored as they are.
  public static let rawBytesMin = 64
  /// Longer values are stored as they are: a read of a part, or an append, expands the whole value, and a value is
  /// compressed at latest under the write lock.
  public static let rawBytesMax = 1 << 20
  /// What a record may announce: no value may be configured to be longer.
  public static let announcedBytesMax = 512 << 20
  /// What a stored byte may expand to. lz4 reaches 255; zstd reaches more, and such a value is not stored with it. So
  /// nobody is made to allocate more than this many times what he holds.
  public static let expansionMax = 256

  @inlinable public static func isPlausible(raw: Int, stored: Int) -> Bool {
    raw > 0 && raw <= announcedBytesMax && raw <= (stored - headBytes) * expansionMax
  }

  /// The most that the stored form of a value may take to pay: an eighth less, and 16 bytes. A read costs the time of
  /// the expansion, so a few bytes are not worth it.
  public static func storedBytesMax(raw: Int) -> Int { raw - max(raw / 8, 16) }
}

/// Whether the next value is worth a try. After one that did not shrink the next ones are stored as they are: 1, 2, 4 ...
/// up to 64 of them. So data that cannot be compressed costs a sixty-fourth of the time, and data that can is noticed
/// soon. One per event loop.
public struct CompressionTrials: Sendable {
  public static let skipMax = 64
  private var skipsLeft = 0
  private var nextSkip = 1
  public init() {}

  public mutating func isDue() -> Bool {
    if skipsLeft == 0 { return true }
    skipsLeft -= 1
    return false
  }
  public mutating func tried(paid: Bool) {
    if paid {
      nextSkip = 1
    } else {
      skipsLeft = nextSkip
      nextSkip = min(nextSkip * 2, Self.skipMax)
    }
  }
}

extension LogStore {
  /// How values are stored from now on. May be set by any thread.
  public var compression: ValueCompression {
    get {
      switch compressionSetting.load(ordering: .relaxed) {
      case 0: .none
      case 1: .lz4
      default: .zstd
      }
    }
    set { compressionSetting.store(newValue.code, ordering: .relaxed) }
  }
  /// Cheap: one load.
  @inlinable @inline(__always) public var compressesValues: Bool { compressionSetting.load(ordering: .relaxed) != 0 }

  /// Appends a put whose value is compressed already. false if there is no memory for another segment. Key and value
  /// lengths are the caller's to check.
  /// - Parameters:
  ///   - stored: what `ValueCompressor.compress` made of `raw`.
  ///   - expiry: milliseconds since 1970, 0 for none.
  public func putCompressed(
    _ target: WriteTarget, key: UnsafeRawBufferPointer, method: ValueMethod, stored: UnsafeRawBufferPointer,
    raw: UnsafeRawBufferPointer, expiry: UInt64, _ access: borrowing WriteAccess
  ) -> Bool {
    guard let place = beginPut(target.table, key: key, valueBytes: stored.count, expiry: expiry, access) else {
      return false
    }
    if let source = stored.baseAddress { place.copyMemory(from: source, byteCount: stored.count) }
    let record = activeBase + activeUsed
    record.put(RecordView(record).flags | method.flag, at: 11)
    let content = UnsafeRawPointer(record + RecordView.headerBytes)
    let head = CRC32C.checksum(content, count: UnsafeRawPointer(place) - content)
    record.put(CRC32C.checksum(raw, seed: head), at: 28)
    endPut(target, access)
    return true
  }
}
