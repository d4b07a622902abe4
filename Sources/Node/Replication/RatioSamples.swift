// Raw memory: samples of files and log are compressed from where they lie.
import Core
import LogStore
import Replication
import Synchronization

/// What a sync's bytes would compress to on the link, measured on at most 256 KiB of them, for slaves of which no finished
/// sync has told. Kept for a while. Blocks on disk: off the clients' loops.
final class RatioSamples: Sendable {
  private struct Key: Hashable {
    let log: CompressionChooser
    let bulk: CompressionChooser
  }
  private struct Kept {
    let ratios: LinkRatios
    let at: Tick
    let bytes: UInt64
  }
  private let kept = Mutex<[Key: Kept]>([:])

  private static let keptMilliseconds: UInt64 = 180_000
  private static let pieceBytes = 24 << 10
  private static let pieces = 4
  private static let recordBytesMax = 128 << 10

  func ratios(
    _ files: SnapshotFiles, _ store: LogStore, logBytes: UInt64, capabilities: Capabilities,
    bulk: CompressionChooser, now: Tick
  ) -> LinkRatios {
    let key = Key(log: CompressionChooser(negotiated: capabilities, preferRatio: false), bulk: bulk)
    let bytes = files.manifest.totalBytes &+ logBytes
    if let kept = kept.withLock({ $0[key] }), now.since(kept.at) < Self.keptMilliseconds,
      max(bytes, kept.bytes) - min(bytes, kept.bytes) <= kept.bytes / 4
    {
      return kept.ratios
    }
    let ratios = measure(files, store, key)
    kept.withLock { $0[key] = Kept(ratios: ratios, at: now, bytes: bytes) }
    return ratios
  }

  private func measure(_ files: SnapshotFiles, _ store: LogStore, _ key: Key) -> LinkRatios {
    var compressor = BodyCompressor()
    var ofFiles = SampledRatio()
    var ofRecords = SampledRatio()
    for isIndex in [false, true] {
      let chosen = files.manifest.files.filter { ($0.kind == .index) == isIndex }
      let total = chosen.reduce(UInt64(0)) { $0 + $1.bytes }
      let sum = sample(chosen, files, store, key.bulk, &compressor)
      guard total > 0 else { continue }
      ofFiles.add(totalBytes: total, sampleBytes: sum.bytes, compressedBytes: sum.compressed)
      if !isIndex { ofRecords.add(totalBytes: total, sampleBytes: sum.bytes, compressedBytes: sum.compressed) }
    }
    let log = sampleLog(store, key, &compressor)
    return LinkRatios(log: log?.log ?? ofRecords.value, delta: log?.bulk ?? ofRecords.value, files: ofFiles.value)
  }

  /// Of pieces that are spread over some files as if they were one.
  private func sample(
    _ chosen: [FileManifest.File], _ files: SnapshotFiles, _ store: LogStore, _ chooser: CompressionChooser,
    _ compressor: inout BodyCompressor
  ) -> (bytes: Int, compressed: Int) {
    let total = chosen.reduce(UInt64(0)) { $0 + $1.bytes }
    var sum = (bytes: 0, compressed: 0)
    for place in SampledRatio.offsets(total: total, bytes: UInt64(Self.pieceBytes), count: Self.pieces) {
      var offset = place
      guard
        let file = chosen.first(where: { file in
          if offset < file.bytes { return true }
          offset -= file.bytes
          return false
        }), let path = files.path(file), let mapped = try? store.fileSystem.map(path)
      else { continue }
      let start = min(Int(offset), max(0, mapped.count - Self.pieceBytes))
      let piece = UnsafeRawBufferPointer(rebasing: mapped.bytes[start..<min(mapped.count, start + Self.pieceBytes)])
      sum.bytes += piece.count
      sum.compressed += compressed(piece, chooser, &compressor)
    }
    return sum
  }

  /// Of the raw log, as its stream and as a delta would be sent; nil when there is none.
  private func sampleLog(
    _ store: LogStore, _ key: Key, _ compressor: inout BodyCompressor
  ) -> (log: Double, bulk: Double)? {
    guard let participant = store.epochs.join() else { return nil }
    store.epochs.enter(participant)
    defer {
      store.epochs.leave(participant)
      store.epochs.resign(participant)
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.recordBytesMax, alignment: 64)
    defer { buffer.deallocate() }
    let first = store.firstRetainedLSN
    let last = store.positions.written
    guard first <= last else { return nil }
    var sum = (bytes: 0, log: 0, bulk: 0)
    for i in 0..<UInt64(Self.pieces) {
      var cursor = LogCursor(startingAt: LSN(first.value + (last.value - first.value) / UInt64(Self.pieces) * i))
      var needed = 0
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<Self.pieceBytes])
      var run = try? store.read(&cursor, upTo: last, into: room, bytesNeeded: &needed)
      if run == nil, needed > 0, needed <= buffer.count {
        run = try? store.read(&cursor, upTo: last, into: buffer, bytesNeeded: &needed)
      }
      guard let run else { continue }
      let piece = UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes])
      sum.bytes += run.bytes
      sum.log += compressed(piece, key.log, &compressor)
      sum.bulk += compressed(piece, key.bulk, &compressor)
    }
    guard sum.bytes > 0 else { return nil }
    return (min(1, Double(sum.log) / Double(sum.bytes)), min(1, Double(sum.bulk) / Double(sum.bytes)))
  }

  /// As a frame's body would be: what does not pay goes as it is.
  private func compressed(
    _ piece: UnsafeRawBufferPointer, _ chooser: CompressionChooser, _ compressor: inout BodyCompressor
  ) -> Int {
    guard chooser.method != .none else { return piece.count }
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, piece.count), alignment: 64)
    defer { out.deallocate() }
    return compressor.compress(chooser.method, piece, into: out, savedPartMin: chooser.savedPartMin) ?? piece.count
  }
}
