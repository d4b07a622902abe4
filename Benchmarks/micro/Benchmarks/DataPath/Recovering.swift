import Benchmark
import Core
import LogStore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A folder of this process, removed when it ends.
func scratch(_ name: String) -> String {
  let folder = "/tmp/paceline-micro-\(getpid())"
  if mkdir(folder, 0o700) == 0 { atexit { removeScratch() } }
  return folder + "/" + name
}

private func removeScratch() {
  let files = RealFileSystem()
  let folder = "/tmp/paceline-micro-\(getpid())"
  for directory in (try? files.list(folder)) ?? [] {
    for name in (try? files.list("\(folder)/\(directory)")) ?? [] { unlink("\(folder)/\(directory)/\(name)") }
    rmdir("\(folder)/\(directory)")
  }
  rmdir(folder)
}

/// A store directory that holds sealed segments only: what a start loads is their index files.
final class SealedState {
  static let records = 100_000
  let lineage = NodeID(random: Array(1...20))
  var generation: DirectoryFile
  let directory: String
  let configuration: StoreConfiguration

  init() throws {
    generation = DirectoryFile(node: lineage, lineage: lineage)
    let store = try makeStore(segmentBytes: 1 << 20, directory: "sealed")
    (directory, configuration) = (store.directory, store.configuration)
    let values = Strings([value])
    var sealed: UInt64 = 0
    var next = 0
    while sealed < Self.records {
      let keys = Strings((next..<next + 5000).map(key))
      store.withWriteLock { access in for i in 0..<keys.count { store.put(keys[i], values[0], access) } }
      next += 5000
      store.positions.set(committed: store.commit(flush: false).written)
      // Sealed is what is synced.
      _ = store.commit(flush: true)
      if let error = store.maintain(neededFrom: LSN(1)).error { throw error }
      sealed = store.sealedSegments.last?.lastLSN.value ?? 0
    }
    generation.generation = 1
    generation.segments = store.sealedSegments
    generation.terms = store.terms
    // The tail would be read record by record, and synced.
    unlink(directory + "/" + SegmentFormat.name(LSN(sealed + 1), suffix: SegmentFormat.fileSuffix))
  }

  func open() throws {
    let (store, report) = try LogStore.open(
      fileSystem: RealFileSystem(), directory: directory, lineage: lineage, configuration: configuration,
      generation: generation, workers: 1, run: { count, body in for i in 0..<count { body(i) } })
    precondition(report.replayedRecords == 0 && report.rebuiltIndexes.isEmpty, "\(report)")
    precondition(store.keyCount(0) >= Self.records, "\(store.keyCount(0)) keys")
  }
}

func recovering() {
  add("Load of 100k records from index files", operations: SealedState.records, scale: .one) {
    try SealedState()
  } round: {
    try $0.open()
  }
}
