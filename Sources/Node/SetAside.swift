import Core
import LogStore
import Replication

// Stores that this node gave up for another data set, or for a log without a tail of its own:
//
//     DATA/replaced-<data set>-<term>-<LSN>-<seconds>/<n>.dir       the generation that named the store last
//     DATA/replaced-<data set>-<term>-<LSN>-<seconds>/store-<m>/    the store, as it was
//
// That is a data directory: a node can be started on it. The generation is there first, then the generation that names the new
// store in its place (the moment of the change), then the store is moved. What a crash leaves in between, the next start
// finishes or takes back: the live generation says which.
//
//     DATA/removing-<...>                                           one that is being removed
extension DataDirectory {
  private static let removing = "removing-"
  /// What else a start reads of the store and of its node.
  private static let besideGenerations = [ReachFile.name]

  /// The place for the live store, with the generation that names it. Before the generation with the new store is written.
  func beginSettingAside(last: Position, atSeconds: UInt64) throws -> ReplacedStore {
    let generation = current
    var aside = ReplacedStore(lineage: generation.lineage, last: last, atSeconds: atSeconds)
    while fileSystem.exists("\(path)/\(aside.name)") {
      aside = ReplacedStore(lineage: aside.lineage, last: aside.last, atSeconds: aside.atSeconds + 1)
    }
    var file = generation
    // Whoever starts it says in which role.
    (file.role, file.startRole) = ("", "")
    file.dataSet = DataSetState()
    let place = "\(path)/\(aside.name)"
    try fileSystem.makeDirectory(place)
    for name in Self.besideGenerations where fileSystem.exists("\(path)/\(name)") {
      let bytes = try fileSystem.readAll("\(path)/\(name)")
      try fileSystem.replace("\(place)/\(name)", in: place, with: bytes)
    }
    try fileSystem.replace("\(place)/\(DirectoryFile.name(file.generation))", in: place, with: file.encoded())
    try fileSystem.flushDirectory(path)
    return aside
  }

  /// The new store did not take its place after all.
  func abandonSettingAside(_ aside: ReplacedStore) { removeAll("\(path)/\(aside.name)") }

  /// Moves the store that was given up to its place. Durable when it returns.
  func finishSettingAside(_ aside: ReplacedStore) throws -> ReplacedStore {
    guard let number = storeNumber(in: aside.name) else {
      throw OpenError("\(path)/\(aside.name) has no generation that can be read")
    }
    try move(number, to: aside.name)
    noteReplacedStores()
    return replacedStores.first { $0.name == aside.name } ?? aside
  }

  private func move(_ number: UInt32, to name: String) throws(FileError) {
    try fileSystem.rename(storePath(number), to: "\(path)/\(name)/store-\(number)")
    try fileSystem.flushDirectory("\(path)/\(name)")
    try fileSystem.flushDirectory(path)
  }

  /// At a start, before abandoned stores are removed.
  func finishReplacedStores() throws {
    for name in try fileSystem.list(path) {
      if name.hasPrefix(Self.removing) {
        removeAll("\(path)/\(name)")
        continue
      }
      guard ReplacedStore(name: name) != nil else { continue }
      let isThere = try fileSystem.list("\(path)/\(name)").contains { $0.hasPrefix("store-") }
      guard !isThere else { continue }
      if let number = storeNumber(in: name), number != current.storeNumber, fileSystem.exists(storePath(number)) {
        try move(number, to: name)
      } else {
        removeAll("\(path)/\(name)")
      }
    }
    noteReplacedStores()
  }

  /// The store that the newest readable generation in there names.
  private func storeNumber(in name: String) -> UInt32? {
    let names = (try? fileSystem.list("\(path)/\(name)")) ?? []
    let files = names.filter { DirectoryFile.generation(inName: $0) != nil }.sorted(by: >)
    // A loop reads each file once; `lazy.compactMap.first` would read the one that it finds a second time.
    for file in files {
      guard let bytes = try? fileSystem.readAll("\(path)/\(name)/\(file)"),
        let directory = try? DirectoryFile(decoding: bytes)
      else { continue }
      return directory.storeNumber
    }
    return nil
  }

  private func noteReplacedStores() {
    let names = (try? fileSystem.list(path)) ?? []
    note(
      replacedStores: names.compactMap { name in
        guard var store = ReplacedStore(name: name) else { return nil }
        store.bytes = bytes("\(path)/\(name)")
        return store
      })
  }

  private func bytes(_ directory: String) -> UInt64 {
    var sum: UInt64 = 0
    for name in (try? fileSystem.list(directory)) ?? [] {
      let file = "\(directory)/\(name)"
      if name.hasPrefix("store-") {
        sum += bytes(file)
      } else if let opened = try? fileSystem.open(file, .read) {
        sum += (try? opened.size()) ?? 0
        opened.close()
      }
    }
    return sum
  }

  /// From the moment on that this returns, no start finds it.
  func removeReplaced(_ store: ReplacedStore) throws(FileError) {
    let gone = "\(path)/\(Self.removing)\(store.name)"
    if fileSystem.exists("\(path)/\(store.name)") {
      try fileSystem.rename("\(path)/\(store.name)", to: gone)
      try fileSystem.flushDirectory(path)
    }
    note(replacedStores: replacedStores.filter { $0 != store })
    removeAll(gone)
  }

  private func removeAll(_ directory: String) {
    for name in (try? fileSystem.list(directory)) ?? [] {
      if name.hasPrefix("store-") {
        removeAll("\(directory)/\(name)")
      } else {
        try? fileSystem.unlink("\(directory)/\(name)")
      }
    }
    try? fileSystem.removeDirectory(directory)
  }
}
