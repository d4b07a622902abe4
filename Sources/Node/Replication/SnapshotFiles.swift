import Core
import LogStore
import Replication

/// The files of a full sync: the sealed segments and their index files, held in place while it lasts.
///
/// A snapshot is named by a hash of what is in it, so a sync that was cut is resumed with the same files even after the
/// master was started again, and never with others.
package final class SnapshotFiles: Sendable {
  let manifest: FileManifest
  /// Where the log goes on behind the files.
  let logFrom: LSN
  private let store: LogStore
  private let segments: [Segment]

  private init(store: LogStore, segments: [Segment], manifest: FileManifest, logFrom: LSN) {
    self.store = store
    self.segments = segments
    self.manifest = manifest
    self.logFrom = logFrom
  }
  deinit { store.unpin(segments) }

  /// Pins the sealed segments; with `resuming`, those that make up that snapshot, if they are all still there and the log
  /// behind them is.
  static func pin(_ store: LogStore, fileSystem: any FileSystem, resuming: SnapshotID?) throws(FileError)
    -> SnapshotFiles
  {
    let (sealed, logFrom) = store.pinSealedSegments()
    var files: [FileManifest.File] = []
    var id = KeyHash.mix(store.hashSeed, 0x736E_6170_7368_6F74)
    var matched: Int?
    do throws(FileError) {
      for segment in sealed {
        let indexPath = store.path(of: segment, SegmentFormat.indexSuffix)
        let indexBytes = try sizeOfFile(indexPath, fileSystem)
        for kind in [segment.name.isData ? FileManifest.Kind.data : .segment, .index] {
          files.append(
            FileManifest.File(
              number: number(segment.name, kind), kind: kind,
              bytes: kind == .index ? indexBytes : UInt64(segment.used), firstLSN: segment.firstLSN,
              lastLSN: segment.lastLSN, checksum: kind == .index ? nil : segment.fileChecksum))
        }
        id = KeyHash.mix(id ^ segment.firstLSN.value, UInt64(segment.fileChecksum) << 32 ^ UInt64(segment.used))
        if let resuming, resuming.value == max(id, 1) { matched = files.count }
      }
    } catch {
      store.unpin(sealed)
      throw error
    }
    if let matched, !sealed.dropFirst(matched / 2).contains(where: { $0.name.isData }) {
      let (kept, rest) = (Array(sealed.prefix(matched / 2)), Array(sealed.dropFirst(matched / 2)))
      store.unpin(rest)
      return SnapshotFiles(
        store: store, segments: kept,
        manifest: FileManifest(snapshot: resuming ?? .none, files: Array(files.prefix(matched))),
        logFrom: rest.first?.firstLSN ?? logFrom)
    }
    return SnapshotFiles(
      store: store, segments: sealed, manifest: FileManifest(snapshot: SnapshotID(max(id, 1)), files: files),
      logFrom: logFrom)
  }

  private static func sizeOfFile(_ path: String, _ fileSystem: any FileSystem) throws(FileError) -> UInt64 {
    let file = try fileSystem.open(path, .read)
    defer { file.close() }
    return try file.size()
  }

  /// Where the sender has a file of the manifest; nil for one that is not in it.
  func path(_ file: FileManifest.File) -> String? {
    guard let segment = segments.first(where: { $0.firstLSN == LSN(file.number >> 2) }) else { return nil }
    return store.path(of: segment, file.kind == .index ? SegmentFormat.indexSuffix : SegmentFormat.fileSuffix)
  }

  /// Whether a file is what the manifest promises. O(bytes).
  static func isIntact(_ mapped: MappedFile, _ file: FileManifest.File) -> Bool {
    guard UInt64(mapped.count) == file.bytes else { return false }
    if let checksum = file.checksum { return CRC32C.checksum(mapped.bytes) == checksum }
    // An index file carries its own checksums.
    return (try? IndexFile(mapped)) != nil
  }

  /// The file of records of the piece that a file of the manifest belongs to.
  func recordsPath(_ file: FileManifest.File) -> String {
    segments.first { $0.firstLSN == LSN(file.number >> 2) }.map { store.path(of: $0, SegmentFormat.fileSuffix) } ?? ""
  }

  /// Unique in a manifest, and all that a name on the other side is made from.
  static func number(_ name: LogFileName, _ kind: FileManifest.Kind) -> UInt64 {
    name.firstLSN.value << 2 | (name.isData ? 2 : 0) | (kind == .index ? 1 : 0)
  }

  /// The receiver counts revisions of its own.
  static func name(_ file: FileManifest.File) -> LogFileName {
    LogFileName(firstLSN: LSN(file.number >> 2), revision: file.number & 2 != 0 ? 1 : 0)
  }

  /// Where the receiver puts a file: made from numbers only.
  static func path(_ directory: String, _ file: FileManifest.File) -> String {
    directory + "/" + (file.kind == .index ? name(file).index : name(file).records)
  }
}
