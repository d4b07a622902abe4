// Raw memory: hands received bytes to the file; none outlives its call.
import Core
import LogStore
import Replication
import Synchronization

/// A full sync on the slave's disk: `store-<n+1>` beside the live `store-<n>`, with the manifest in a file of its own so
/// that the sync goes on after a restart.
///
/// Lives on the loop of the upstream link, where blocking is allowed. Names on disk are made from numbers; nothing that
/// a peer sends becomes a name.
final class StagedStore {
  let begin: SyncBegin
  let manifest: FileManifest
  let number: UInt32
  private let directory: DataDirectory
  private let configuration: StoreConfiguration
  private var open: (number: UInt64, file: any OpenFile, bytes: UInt64)?
  private(set) var store: LogStore?
  /// Where the staged log goes on; nil while files are missing.
  var nextLSN: LSN? { store?.positions.appended.next }
  private let workers: Int
  private let run: ParallelRunner
  private let flushing: FileFlushes

  static let manifestName = "manifest"
  static let manifestMagic: [UInt8] = Array("PLSNAP\u{0}\u{1}".utf8)

  var path: String { directory.storePath(number) }

  /// Begins or goes on. Files that the manifest does not name, and more bytes than `keep` tells of, are removed.
  init(
    begin: SyncBegin, manifest: FileManifest, keep: ResumeState?, directory: DataDirectory,
    configuration: StoreConfiguration, host: any NodeHost
  ) throws {
    self.begin = begin
    self.manifest = manifest
    self.directory = directory
    self.configuration = configuration
    workers = host.cores
    run = host.parallel
    flushing = FileFlushes(host: host)
    number = directory.current.storeNumber + 1
    let fileSystem = directory.fileSystem
    if keep == nil { directory.removeStore(number) }
    try fileSystem.makeDirectory(path)
    let held = Dictionary((keep?.files ?? []).map { ($0.number, $0.bytes) }, uniquingKeysWith: max)
    let known = Dictionary(
      manifest.files.map { (SnapshotFiles.path(path, $0), held[$0.number] ?? 0) }, uniquingKeysWith: max)
    for name in try fileSystem.list(path) {
      let file = "\(path)/\(name)"
      if let bytes = known[file], bytes > 0 {
        let opened = try fileSystem.open(file, .readWrite)
        if try opened.size() > bytes { try opened.truncate(bytes) }
        opened.close()
      } else {
        try fileSystem.unlink(file)
      }
    }
    try fileSystem.replace("\(path)/\(Self.manifestName)", in: path, with: Self.manifestMagic + manifest.encoded())
  }

  /// What an earlier run left of a cut sync; nil if nothing usable.
  static func resumable(_ directory: DataDirectory) -> ResumeState? {
    let fileSystem = directory.fileSystem
    let path = directory.storePath(directory.current.storeNumber + 1)
    guard let bytes = try? fileSystem.readAll("\(path)/\(manifestName)"), bytes.starts(with: manifestMagic),
      let manifest = try? FileManifest.decode(Array(bytes.dropFirst(manifestMagic.count)))
    else { return nil }
    var files: [ResumeState.HeldFile] = []
    for file in manifest.files {
      let name = SnapshotFiles.path(path, file)
      guard fileSystem.exists(name), let opened = try? fileSystem.open(name, .read), let size = try? opened.size()
      else { break }
      files.append(ResumeState.HeldFile(number: file.number, bytes: min(size, file.bytes)))
      if size < file.bytes { break }
    }
    return files.isEmpty ? nil : ResumeState(snapshot: manifest.snapshot, files: files)
  }

  // MARK: Files

  private func entry(_ number: UInt64) -> FileManifest.File {
    // The applier checks every number against the manifest before it asks.
    manifest.files.first { $0.number == number }!
  }

  func openFile(_ number: UInt64, offset: UInt64) throws(FileError) {
    open?.file.close()
    let file = try directory.fileSystem.open(SnapshotFiles.path(path, entry(number)), .readWrite)
    try file.truncate(offset)
    open = (number, file, offset)
  }

  func write(_ number: UInt64, offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(FileError) {
    guard let open, open.number == number else { preconditionFailure("file \(number) is not open") }
    try open.file.write(bytes, at: offset)
    self.open = (number, open.file, offset + UInt64(bytes.count))
  }

  /// Closes; true if size and checksum are as promised. The flush runs beside what follows; `commitSwap` waits for it.
  func verify(_ number: UInt64, bytes: UInt64, checksum: UInt32?) throws(FileError) -> Bool {
    guard let current = open, current.number == number else { preconditionFailure("file \(number) is not open") }
    let size = try current.file.size()
    open = nil
    flushing.flush(current.file)
    guard size == bytes else { return false }
    let mapped = try directory.fileSystem.map(SnapshotFiles.path(path, entry(number)))
    if let checksum { return CRC32C.checksum(mapped.bytes) == checksum }
    // An index file carries its own checksums.
    return (try? IndexFile(mapped)) != nil
  }

  // MARK: Log behind the files

  /// The staged store, opened over the files when they are complete.
  func opened() throws -> LogStore {
    if let store { return store }
    var generation = DirectoryFile(node: directory.node, lineage: begin.lineage)
    generation.storeNumber = number
    generation.terms = begin.history.upTo(begin.startLSN.previous)
    generation.segments = manifest.files.filter { $0.kind != .index }.map {
      .init(
        name: SnapshotFiles.name($0), lastLSN: $0.lastLSN, bytes: $0.bytes, checksum: $0.checksum ?? 0)
    }
    let isWhole = begin.startLSN == manifest.lastLSN.next
    generation.logStart = isWhole ? manifest.files.map(\.firstLSN).min() ?? begin.startLSN : begin.startLSN
    generation.rewindFloor = max(begin.barrierLSN, manifest.lastLSN)
    if begin.tombstonesFrom > .none {
      generation.tombstonesFrom = begin.tombstonesFrom
    } else if manifest.files.contains(where: { $0.kind == .data }) {
      // Which tombstones the master's compacted files still have is not known here.
      generation.tombstonesFrom = begin.startLSN
    }
    let (store, _) = try LogStore.open(
      fileSystem: directory.fileSystem, directory: path, lineage: begin.lineage, configuration: configuration,
      generation: generation, workers: workers, run: run)
    store.startEmpty(at: begin.startLSN)
    store.withWriteLock { access in store.setReplica(true, access) }
    self.store = store
    return store
  }

  /// Makes the staged store the node's store on disk: one generation.
  func commitSwap(_ history: TermHistory) throws -> LogStore {
    let store = try opened()
    try flushing.finish()
    let result = store.commit(flush: true)
    guard result.durable >= store.positions.appended else {
      if let refusal = store.writeRefusal { throw LogRefused(refusal: refusal) }
      throw OpenError("the received log ends at LSN \(result.durable) on disk, not at \(store.positions.appended)")
    }
    try directory.fileSystem.flushDirectory(path)
    try directory.change {
      if $0.lineage != store.lineage {
        $0.vote = .init(term: .none, candidate: nil)
        $0.dataSet = DataSetState()
      }
      store.describe(&$0)
      $0.storeNumber = number
    }
    store.keepSpace(in: directory.reserve)
    store.noteReach(in: directory.reachFile, era: directory.current.era)
    try? directory.fileSystem.unlink("\(path)/\(Self.manifestName)")
    return store
  }

  func abandon() {
    open?.file.close()
    open = nil
  }

  /// Bytes of the files that are still to be written.
  var missingBytes: UInt64 {
    let total = manifest.files.reduce(UInt64(0)) { $0 + $1.bytes }
    let held = manifest.files.reduce(UInt64(0)) { sum, file in
      guard let opened = try? directory.fileSystem.open(SnapshotFiles.path(path, file), .read) else { return sum }
      defer { opened.close() }
      return sum + min(file.bytes, (try? opened.size()) ?? 0)
    }
    return total - min(held, total)
  }

  /// With room for the log behind them.
  var wantedBytes: UInt64 { missingBytes + UInt64(configuration.segmentBytes) }
  /// Throws before the first byte is asked for if there is no room for the last one.
  func requireRoom() throws(FileError) {
    let missing = wantedBytes
    let free = try directory.fileSystem.freeBytes(path)
    guard free < missing else { return }
    throw FileError(
      operation: "make room for \(missing) bytes of a full sync in", path: path, errno: FileError.noSpaceCode,
      reason: "only \(free) bytes are free")
  }

  /// No later sync goes on with these files: what a failed write or flush left in them is not known.
  func forget() { try? directory.fileSystem.unlink("\(path)/\(Self.manifestName)") }
}

/// Flushes received files beside the reception: a disk that writes does not hold up the link.
private final class FileFlushes: Sendable {
  private let threads = Mutex<[any Joinable]>([])
  private let failure = Mutex<FileError?>(nil)
  private unowned let host: any NodeHost
  private static let threadsMax = 4

  init(host: any NodeHost) { self.host = host }

  /// Takes the file over: it is closed when it is flushed.
  func flush(_ file: any OpenFile) {
    let oldest = threads.withLock { $0.count >= Self.threadsMax ? $0.removeFirst() : nil }
    oldest?.join()
    let thread = host.beside("pl-file-flush") { [self] in
      do throws(FileError) { try file.flush() } catch { failure.withLock { $0 = $0 ?? error } }
      file.close()
    }
    threads.withLock { $0.append(thread) }
  }

  /// Waits for all; throws the first failure.
  func finish() throws(FileError) {
    for thread in threads.withLock({ threads in
      defer { threads = [] }
      return threads
    }) { thread.join() }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  deinit { for thread in threads.withLock({ $0 }) { thread.join() } }
}
