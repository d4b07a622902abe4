// Raw memory: keys and values are written into the store's memory.
import Core
import LogStore
import Simulator

/// A node's data directory on a simulated disk, `data`, with one store in it: something to inspect.
final class InspectedDisk {
  let files = SimulatedFileSystem(seed: 1)
  let lineage = NodeID(random: (0..<20).map { UInt8($0 * 7 + 3) })
  let store: LogStore
  let firstFile = "data/store-1/" + SegmentFormat.name(LSN(1), suffix: SegmentFormat.fileSuffix)

  init() throws {
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 4096
    configuration.databases = 2
    store = try LogStore.create(
      fileSystem: files, directory: "data/store-1", lineage: lineage, configuration: configuration)
  }

  /// The store's first term.
  func begin() {
    store.withWriteLock { access in _ = store.beginTerm(Reign(term: Term(1), owner: lineage), access) }
  }

  func put(_ key: String, _ value: String, expiry: UInt64 = 0) {
    store.withWriteLock { access in
      let table = store.table(0)
      Array(key.utf8).withUnsafeBytes { key in
        let target = store.locate(table, store.hash(key), key)
        guard let place = store.beginPut(table, key: key, valueBytes: value.utf8.count, expiry: expiry, access) else {
          return
        }
        place.copyMemory(from: Array(value.utf8), byteCount: value.utf8.count)
        store.endPut(target, access)
      }
    }
  }

  func remove(_ key: String) {
    store.withWriteLock { access in
      Array(key.utf8).withUnsafeBytes { key in
        let target = store.locate(store.table(0), store.hash(key), key)
        if target.old != nil { store.delete(target, key: key, access) }
      }
    }
  }

  /// What is there is on disk, filled segments are sealed, and a generation names them.
  func seal() throws {
    let result = store.commit(flush: true)
    store.positions.set(committed: result.durable)
    if let error = store.maintain(neededFrom: LSN(.max)).error { throw error }
    var generation = DirectoryFile(node: lineage, lineage: lineage)
    generation.generation = 1
    store.describe(&generation)
    files.setContents("data/" + DirectoryFile.name(generation.generation), generation.encoded())
  }
}
