/// How the store is set up; every limit is checked by `validate`.
public struct StoreConfiguration: Sendable {
  /// Size of a segment. At most 64 MiB: an index entry reaches no further.
  public var segmentBytes = 32 << 20
  /// Memory for the newest part of the log: feeds slaves without disk reads.
  public var opsBufferBytes = 16 << 20
  /// Bytes appended and not yet written to disk, beyond which writers are held back. One batch of commands may go beyond
  /// it, by its last record and a MiB.
  public var unwrittenBytesMax = 64 << 20
  public var valueBytesMax = 64 << 20
  public var keyBytesMax = RecordView.keyBytesMax
  /// Of a data set whose log names no number: the newest catalog record there counts more.
  public var databases = 16
  /// How values are stored at the start; `LogStore.compression` may change later.
  public var compression = ValueCompression.none
  public init() {}

  public func validate() -> String? {
    if segmentBytes < 4096 || segmentBytes > 64 << 20 || segmentBytes % 8 != 0 {
      return "segment-bytes must be a multiple of 8 from 4096 to \(64 << 20), not \(segmentBytes)"
    }
    if valueBytesMax < 1 || valueBytesMax > 512 << 20 {
      return "value-bytes-max must be from 1 to \(512 << 20), not \(valueBytesMax)"
    }
    if keyBytesMax < 1 || keyBytesMax > RecordView.keyBytesMax {
      return "key-bytes-max must be from 1 to \(RecordView.keyBytesMax), not \(keyBytesMax)"
    }
    if databases < 1 || databases > Catalog.databasesMax {
      return "databases must be from 1 to 65535, not \(databases)"
    }
    if opsBufferBytes < 0 { return "ops-buffer must not be negative" }
    if unwrittenBytesMax < 1 << 20 { return "the limit of unwritten bytes must be at least 1 MiB" }
    return nil
  }
}
