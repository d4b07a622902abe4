// Raw memory: two buffers in which records are rewritten.
import Core

/// Rewrites values as the store's setting wants them while their records are compacted.
///
/// A value compressed with the dictionary of its old file must not leave it as it is: it is expanded, and compressed
/// anew with the dictionary of the new file, trained on samples of the records to come. Owned by one job.
final class ValueRecoder {
  /// nil: values that can stay as they are stay so.
  private let method: ValueMethod?
  private let compressor = ValueCompressor()
  private let expander = ValueExpander()
  private(set) var dictionaries: [UInt32: ValueDictionary] = [:]
  private var expanded = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  private var compressed = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

  /// Data that once stood in a file with dictionaries stays in such files: expanded it could be larger than a file.
  init(_ setting: ValueCompression, sources: [Segment]) {
    switch setting {
    case .none: method = sources.contains { $0.recordsAt > SegmentFormat.headerBytes } ? .zstd : nil
    case .lz4: method = sources.contains { $0.recordsAt > SegmentFormat.headerBytes } ? .zstd : .lz4
    case .zstd: method = .zstd
    }
  }
  deinit {
    expanded.deallocate()
    compressed.deallocate()
  }

  /// Trains a dictionary for each table from records all over the sources. Inside an epoch.
  func train(_ store: LogStore, _ sources: [Segment]) {
    guard method == .zstd else { return }
    var trainers: [UInt32: (trainer: DictionaryTrainer, bytes: Int)] = [:]
    var sampled = 0
    for source in sources {
      let start = store.addresses.start(source.slot)!
      let places = [source.recordsAt] + source.landmarks.map(\.offset)
      let each = max(16 << 10, DictionaryTrainer.sampleBytesMax * 2 / max(1, places.count * sources.count))
      for place in places {
        var at = place
        let end = min(source.used, place + each)
        while at < end {
          let record = RecordView(start + at)
          guard record.verify(available: source.used - at) == .good else { break }
          at += record.recordBytes
          guard record.kind == RecordKind.put.rawValue, let plain = try? plain(record, store, source) else { continue }
          sampled += plain.valueBytes
          trainers[record.table, default: (DictionaryTrainer(), 0)].trainer.add(plain.value)
          trainers[record.table]?.bytes += plain.valueBytes
        }
      }
    }
    let total = sources.reduce(0) { $0 + $1.used }
    for (table, item) in trainers {
      let share = Int(Double(total) * Double(item.bytes) / Double(max(1, sampled)))
      dictionaries[table] = item.trainer.train(totalValueBytes: share)?.dictionary
    }
  }

  /// The record as it goes into the new file; valid until the next call. Inside an epoch.
  func recoded(_ record: RecordView, _ store: LogStore, _ source: Segment) throws(ExpandFailure) -> RecordView {
    guard record.kind == RecordKind.put.rawValue else { return record }
    if record.isCompressed, method != .zstd { return record }
    let plain = try plain(record, store, source)
    guard let method else { return plain }
    if compressed.count < plain.recordBytes { grow(&compressed, plain.recordBytes) }
    return compressor.compress(
      method, record: plain, dictionary: method == .zstd ? dictionaries[record.table] : nil, into: compressed) ?? plain
  }

  private func plain(_ record: RecordView, _ store: LogStore, _ source: Segment) throws(ExpandFailure) -> RecordView {
    guard record.isCompressed else { return record }
    if let bytes = ValueExpander.expandedBytes(record), bytes > expanded.count { grow(&expanded, bytes) }
    return try expander.expand(
      record, dictionary: store.dictionary(forSlot: source.slot, table: record.table), into: expanded)
  }

  private func grow(_ buffer: inout UnsafeMutableRawBufferPointer, _ bytes: Int) {
    buffer.deallocate()
    buffer = .allocate(byteCount: bytes + bytes / 2, alignment: 16)
  }
}
