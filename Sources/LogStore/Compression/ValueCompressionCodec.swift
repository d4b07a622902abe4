// Raw memory: values are compressed from and into the callers' buffers; every call passes the buffer's true size.
import CLZ4
import CZstd
import Core

/// Compresses values. Owned by one event loop or one job, used by one thread at a time; zstd's working memory is made at
/// its first use and kept, so that nothing is allocated for a value.
public final class ValueCompressor {
  public static let zstdLevel: Int32 = 3
  private var context: OpaquePointer?
  private let lz4State: UnsafeMutableRawPointer
  /// Every value that fits is compressed, whether it pays or not: tests see compressed values everywhere.
  public var compressesAlways = false

  public init() { lz4State = .allocate(byteCount: Int(LZ4_sizeofState()), alignment: 16) }
  deinit {
    lz4State.deallocate()
    if let context { ZSTD_freeCCtx(context) }
  }

  /// How large `out` must be for a value of `raw` bytes.
  public func outputBytes(for raw: Int) -> Int {
    compressesAlways ? raw + raw / 255 + 32 : max(0, CompressedValue.storedBytesMax(raw: raw))
  }

  /// Compresses a value.
  /// - Parameters:
  ///   - dictionary: for zstd; made with a level, which is then used instead of `level`.
  ///   - out: of at least `outputBytes(for:)` bytes; less is allowed: then what does not fit does not pay.
  /// - Returns: the bytes of the stored form in `out`, its size included; nil if it does not pay.
  public func compress(
    _ method: ValueMethod, _ value: UnsafeRawBufferPointer, level: Int32 = zstdLevel,
    dictionary: ValueDictionary? = nil, into out: UnsafeMutableRawBufferPointer
  ) -> Int? {
    guard compressesAlways ? value.count > 0 : value.count >= CompressedValue.rawBytesMin,
      value.count <= CompressedValue.rawBytesMax, let source = value.baseAddress, let target = out.baseAddress
    else { return nil }
    let room = min(out.count, outputBytes(for: value.count)) - CompressedValue.headBytes
    guard room > 0 else { return nil }
    let place = target + CompressedValue.headBytes
    let written: Int
    switch method {
    case .lz4:
      written = Int(
        LZ4_compress_fast_extState(
          lz4State, source.assumingMemoryBound(to: CChar.self), place.assumingMemoryBound(to: CChar.self),
          Int32(value.count), Int32(room), 1))
    case .zstd:
      if context == nil { context = ZSTD_createCCtx() }
      guard let context else { return nil }
      let result =
        if let dictionary, let prepared = dictionary.forCompression {
          ZSTD_compress_usingCDict(context, place, room, source, value.count, prepared)
        } else {
          ZSTD_compressCCtx(context, place, room, source, value.count, level)
        }
      if ZSTD_isError(result) != 0 { return nil }
      written = Int(result)
    }
    let stored = written + CompressedValue.headBytes
    guard written > 0, CompressedValue.isPlausible(raw: value.count, stored: stored) else { return nil }
    target.put(UInt32(value.count), at: 0)
    return stored
  }

  /// Writes the image of an uncompressed put with its value compressed: the same record, LSN and content hash.
  /// - Parameter out: of at least the record's bytes.
  /// - Returns: a view of the image in `out`; nil if it does not pay, or if the record is no uncompressed put.
  public func compress(
    _ method: ValueMethod, record: RecordView, level: Int32 = zstdLevel, dictionary: ValueDictionary? = nil,
    into out: UnsafeMutableRawBufferPointer
  ) -> RecordView? {
    let head = RecordView.headerBytes + record.expiryBytes + record.keyBytes
    guard record.kind == RecordKind.put.rawValue, !record.isCompressed, out.count >= record.recordBytes,
      let image = out.baseAddress
    else { return nil }
    let place = UnsafeMutableRawBufferPointer(rebasing: out[head..<record.recordBytes])
    guard let stored = compress(method, record.value, level: level, dictionary: dictionary, into: place) else {
      return nil
    }
    image.copyMemory(from: record.base, byteCount: head)
    image.put(UInt32(stored), at: 4)
    image.put(record.flags | method.flag, at: 11)
    let view = RecordView(image)
    for i in view.contentEnd..<view.recordBytes { image.put(UInt8(0), at: i) }
    image.put(view.expectedChecksum, at: 0)
    return view
  }
}

public enum ExpandFailure: Error, Equatable, Sendable {
  /// The bytes do not expand to what the record says.
  case damaged
  /// The value was compressed with a dictionary that was not given.
  case dictionaryMissing
  /// The buffer is smaller than the record says.
  case noRoom(bytesNeeded: Int)
}

/// Expands compressed records. Owned by one event loop or one job, used by one thread at a time.
public final class ValueExpander {
  private var context: OpaquePointer?
  public init() {}
  deinit { if let context { ZSTD_freeDCtx(context) } }

  /// Whether the value was compressed with a dictionary.
  public static func needsDictionary(_ record: RecordView) -> Bool {
    guard record.flags & RecordFlag.compressionMask == RecordFlag.zstd, record.valueBytes > CompressedValue.headBytes
    else { return false }
    let bytes = UnsafeRawBufferPointer(rebasing: record.value[CompressedValue.headBytes...])
    return ZSTD_getDictID_fromFrame(bytes.baseAddress, bytes.count) != 0
  }

  /// Room for the image that `expand` makes of a compressed record; nil if the record cannot be what it says.
  public static func expandedBytes(_ record: RecordView) -> Int? {
    let raw = record.rawValueBytes
    guard record.valueBytes > CompressedValue.headBytes,
      CompressedValue.isPlausible(raw: raw, stored: record.valueBytes)
    else { return nil }
    return RecordView.bytes(key: record.keyBytes, value: raw, expires: record.expiryBytes != 0)
  }

  /// Writes the image of a compressed record as it is without compression: same LSN, term, table, flags, content hash.
  /// The value is never a wrong one: it is compared with the content hash.
  /// - Parameter out: of at least `expandedBytes` bytes.
  /// - Returns: a view of the image in `out`.
  public func expand(
    _ record: RecordView, dictionary: ValueDictionary? = nil, into out: UnsafeMutableRawBufferPointer
  ) throws(ExpandFailure) -> RecordView {
    guard record.kind == RecordKind.put.rawValue, let bytes = Self.expandedBytes(record) else { throw .damaged }
    guard out.count >= bytes, let image = out.baseAddress else { throw .noRoom(bytesNeeded: bytes) }
    let head = RecordView.headerBytes + record.expiryBytes + record.keyBytes
    let raw = record.rawValueBytes
    image.copyMemory(from: record.base, byteCount: head)
    image.put(UInt32(raw), at: 4)
    image.put(record.flags & ~RecordFlag.compressionMask, at: 11)
    let compressed = UnsafeRawBufferPointer(rebasing: record.value[CompressedValue.headBytes...])
    switch record.flags & RecordFlag.compressionMask {
    case RecordFlag.lz4: try expandLZ4(compressed, to: image + head, count: raw)
    case RecordFlag.zstd: try expandZstd(compressed, dictionary, to: image + head, count: raw)
    default: throw .damaged
    }
    let view = RecordView(image)
    for i in view.contentEnd..<view.recordBytes { image.put(UInt8(0), at: i) }
    image.put(view.expectedChecksum, at: 0)
    guard view.checksumsMatch else { throw .damaged }
    return view
  }

  private func expandLZ4(
    _ bytes: UnsafeRawBufferPointer, to place: UnsafeMutableRawPointer, count: Int
  ) throws(ExpandFailure) {
    guard let source = bytes.baseAddress, let size = Int32(exactly: bytes.count) else { throw .damaged }
    let expanded = LZ4_decompress_safe(
      source.assumingMemoryBound(to: CChar.self), place.assumingMemoryBound(to: CChar.self), size, Int32(count))
    guard expanded == Int32(count) else { throw .damaged }
  }

  private func expandZstd(
    _ bytes: UnsafeRawBufferPointer, _ dictionary: ValueDictionary?, to place: UnsafeMutableRawPointer, count: Int
  ) throws(ExpandFailure) {
    // No older format of zstd, and no size but the announced one.
    guard let source = bytes.baseAddress, bytes.count >= 4, source.u32(0) == 0xFD2F_B528,
      ZSTD_getFrameContentSize(source, bytes.count) == UInt64(count)
    else { throw .damaged }
    let id = ZSTD_getDictID_fromFrame(source, bytes.count)
    if id != 0, dictionary?.id != id { throw .dictionaryMissing }
    if context == nil { context = ZSTD_createDCtx() }
    guard let context else { throw .noRoom(bytesNeeded: count) }
    let result =
      if id != 0, let dictionary {
        ZSTD_decompress_usingDDict(context, place, count, source, bytes.count, dictionary.forExpansion)
      } else {
        ZSTD_decompressDCtx(context, place, count, source, bytes.count)
      }
    guard ZSTD_isError(result) == 0, result == count else { throw .damaged }
  }
}
