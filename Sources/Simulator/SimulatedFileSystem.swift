// Raw memory: a mapping is a copy, freed with its `MappedFile`.
import Core
import LogStore
import Synchronization

/// A file system in memory that can lose power.
///
/// It knows which bytes and which directory entries a crash would keep: written bytes are safe after `flush` of their
/// file, creations, renames and unlinks after `flushDirectory`. Everything random comes from one seed. One lock guards
/// all of it: tests use it from one thread or from few.
package final class SimulatedFileSystem: FileSystem {
  /// The kinds of calls that can be counted and made to fail.
  package enum Call: Hashable, Sendable, CaseIterable {
    case open, map, rename, unlink, makeDirectory, removeDirectory, list, flushDirectory, freeBytes
    case write, read, flush, reserve, truncate, size
  }

  /// What to do to one call: the n-th of its kind, or the n-th of all.
  package struct Fault: Sendable {
    package var call: Call?
    /// Counted from 1, from the moment when the fault is set.
    package var number: Int
    package var errno: Int32
    /// Later calls that match fail too.
    package var stays: Bool
    package init(call: Call? = nil, number: Int, errno: Int32, stays: Bool = false) {
      self.call = call
      self.number = number
      self.errno = errno
      self.stays = stays
    }
    package static let inputOutput: Int32 = 5  // EIO
    package static let noSpace: Int32 = FileError.noSpaceCode
  }

  struct State {
    var random: SplitMix64
    var directories: [String: SimulatedDirectory] = [:]
    /// Goes up when the process ends: handles opened before are dead.
    var life = 0
    var capacityBytes = Int.max
    var counts: [Call: Int] = [:]
    var calls = 0
    var fault: (fault: Fault, seen: Int)?
    var faultFired = false
    /// The caller is dead: nothing that it still does reaches the disk.
    var isDeaf = false
    /// So many more calls, then the process is dead.
    var callsLeft: Int?
    var onStop: (@Sendable () -> Void)?
    var failurePerMillion: [Call: Int] = [:]
    var latencyMicroseconds: ClosedRange<Int>?
    var latency = 0
    /// What is mapped now: which file, where in memory, how many bytes.
    var mappings: [Int: (file: ObjectIdentifier, address: UInt, bytes: Int)] = [:]
    var nextMapping = 0
  }
  let state: Mutex<State>

  package init(seed: UInt64 = 0) {
    state = Mutex(State(random: SplitMix64(seed: seed)))
  }

  // MARK: What tests ask for

  /// Sets the fault, and forgets the one before; nil for none.
  package func setFault(_ fault: Fault?) {
    state.withLock {
      $0.fault = fault.map { ($0, 0) }
      $0.faultFired = false
    }
  }
  /// The fault that was set has made a call fail.
  package var faultFired: Bool { state.withLock { $0.faultFired } }
  /// Calls so far, of one kind or of all.
  package func callCount(_ call: Call? = nil) -> Int {
    state.withLock { state in call.map { state.counts[$0] ?? 0 } ?? state.calls }
  }
  /// Bytes that all files together may take; `Int.max` for no limit.
  package func limitCapacity(_ bytes: Int) { state.withLock { $0.capacityBytes = bytes } }
  package var usedBytes: Int { state.withLock { $0.usedBytes } }

  /// The process ends in the middle of the n-th call from now: that call and all later ones fail, whatever they left
  /// half done, until `killProcess` or `crash`. `onStop` is called at that moment and must not call back.
  package func stopProcess(atCall number: Int, onStop: @escaping @Sendable () -> Void) {
    state.withLock {
      $0.callsLeft = number
      $0.onStop = onStop
    }
  }
  /// Of a million calls of each kind so many fail, with an input/output error.
  package func setFailures(perMillion: [Call: Int]) { state.withLock { $0.failurePerMillion = perMillion } }
  /// How long a flush takes; nil for no time. Nothing waits here: see `takeLatency`.
  package func setFlushLatency(microseconds: ClosedRange<Int>?) {
    state.withLock { $0.latencyMicroseconds = microseconds }
  }
  /// Microseconds that the calls since the last question took.
  package func takeLatency() -> Int {
    state.withLock { state in
      defer { state.latency = 0 }
      return state.latency
    }
  }

  /// Nothing is left.
  package func wipe() { state.withLock { $0.directories = [:] } }

  /// The process ends at once: what was written stays, open files are dead.
  package func killProcess() { state.withLock { $0.endLife() } }

  /// The power goes: of what was not flushed every part is kept or lost, page by page and sector by sector; of every
  /// directory's not flushed changes the first few are kept.
  package func crash() {
    state.withLock { state in
      state.endLife()
      var random = state.random
      for path in state.directories.keys.sorted() {
        state.directories[path]!.crash(&random)
      }
      var done: Set<ObjectIdentifier> = []
      for path in state.directories.keys.sorted() {
        let files = state.directories[path]!.entries
        for name in files.keys.sorted() where done.insert(ObjectIdentifier(files[name]!)).inserted {
          files[name]!.crash(&random)
        }
      }
      state.random = random
    }
  }

  /// Turns one bit over, on disk and for every later read.
  package func flipBit(_ path: String, offset: Int, bit: Int = 0) {
    state.withLock { $0.file(path)!.flip(offset: offset, bit: bit) }
  }
  /// The same, and in memory for those who have the file mapped.
  package func flipBitWhereMapped(_ path: String, offset: Int, bit: Int) {
    state.withLock { state in
      guard let file = state.file(path), offset < file.data.count else { return }
      file.flip(offset: offset, bit: bit)
      for mapping in state.mappings.values where mapping.file == ObjectIdentifier(file) && offset < mapping.bytes {
        UnsafeMutablePointer<UInt8>(bitPattern: mapping.address)![offset] ^= 1 << UInt8(bit)
      }
    }
  }
  /// The file as a reader sees it now; nil if there is none.
  package func contents(_ path: String) -> [UInt8]? { state.withLock { $0.file(path)?.data } }
  /// Puts a file there, flushed.
  package func setContents(_ path: String, _ bytes: [UInt8]) {
    state.withLock { state in
      let (directory, name) = Self.split(path)
      let file = SimulatedContent()
      file.data = bytes
      file.flushedBytes = bytes.count
      state.directories[directory, default: SimulatedDirectory()].put(name, file)
      state.directories[directory]!.flush()
    }
  }
  /// Takes a file away, for good.
  package func remove(_ path: String) {
    state.withLock { state in
      let (directory, name) = Self.split(path)
      state.directories[directory]?.remove(name)
      state.directories[directory]?.flush()
    }
  }
  /// Every file, by path.
  package var paths: [String] {
    state.withLock { state in
      state.directories.flatMap { directory, content in content.entries.keys.map { directory + "/" + $0 } }.sorted()
    }
  }
  /// A separate file system with the same content, all of it flushed.
  package func copy(seed: UInt64 = 0) -> SimulatedFileSystem {
    let copy = SimulatedFileSystem(seed: seed)
    for path in paths { copy.setContents(path, contents(path)!) }
    return copy
  }

  /// Everything that is here goes, and what is there comes, all of it flushed. No process runs on it.
  package func restore(_ other: SimulatedFileSystem) {
    let files = other.paths.map { ($0, other.contents($0)!) }
    state.withLock { state in
      for directory in state.directories.keys.sorted() { state.directories[directory] = SimulatedDirectory() }
    }
    for (path, bytes) in files { setContents(path, bytes) }
  }

  // MARK: FileSystem

  package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any OpenFile {
    try call(.open, path) { (state) throws(FileError) -> any OpenFile in
      let (directory, name) = Self.split(path)
      guard state.directories[directory] != nil else { throw Self.failure("open", path, 2) }
      if let file = state.directories[directory]!.entries[name] {
        if mode == .create { file.truncate(0) }
        return SimulatedFile(self, file, path: path, life: state.life)
      }
      guard mode != .read else { throw Self.failure("open", path, 2) }
      let file = SimulatedContent()
      state.directories[directory]!.put(name, file)
      return SimulatedFile(self, file, path: path, life: state.life)
    }
  }

  package func map(_ path: String) throws(FileError) -> MappedFile {
    let (bytes, file) = try call(.map, path) { (state) throws(FileError) -> ([UInt8], ObjectIdentifier) in
      guard let file = state.file(path) else { throw Self.failure("map", path, 2) }
      return (file.data, ObjectIdentifier(file))
    }
    // A copy with nothing behind it: address sanitizers see every read beyond the end.
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 8), alignment: 8)
    bytes.withUnsafeBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: $0.count) } }
    let address = UInt(bitPattern: memory)
    let number = state.withLock { state in
      state.nextMapping += 1
      state.mappings[state.nextMapping] = (file, address, bytes.count)
      return state.nextMapping
    }
    return MappedFile(start: UnsafeRawPointer(memory), count: bytes.count) { [self] in
      _ = state.withLock { $0.mappings.removeValue(forKey: number) }
      UnsafeMutableRawPointer(bitPattern: address)!.deallocate()
    }
  }

  package func rename(_ from: String, to: String) throws(FileError) {
    try call(.rename, from) { (state) throws(FileError) in
      if state.directories[from] != nil { return state.renameDirectory(from, to) }
      let (directory, name) = Self.split(from)
      let (other, newName) = Self.split(to)
      precondition(directory == other, "renames stay inside one directory, not \(from) to \(to)")
      guard state.directories[directory]?.entries[name] != nil else { throw Self.failure("rename", from, 2) }
      state.directories[directory]!.rename(name, to: newName)
    }
  }
  /// What a dead process lets go of takes no file back.
  func deaf(_ body: () -> Void) {
    state.withLock { $0.isDeaf = true }
    body()
    state.withLock { $0.isDeaf = false }
  }

  package func unlink(_ path: String) throws(FileError) {
    if state.withLock({ $0.isDeaf }) { return }
    try call(.unlink, path) { (state) throws(FileError) in
      let (directory, name) = Self.split(path)
      guard state.directories[directory]?.entries[name] != nil else { throw Self.failure("remove", path, 2) }
      state.directories[directory]!.remove(name)
    }
  }
  /// Directories themselves are durable at once.
  package func makeDirectory(_ path: String) throws(FileError) {
    try call(.makeDirectory, path) { (state) throws(FileError) in
      if state.directories[path] == nil { state.directories[path] = SimulatedDirectory() }
    }
  }
  package func removeDirectory(_ path: String) throws(FileError) {
    try call(.removeDirectory, path) { (state) throws(FileError) in
      guard let directory = state.directories[path] else { throw Self.failure("remove", path, 2) }
      guard directory.entries.isEmpty else { throw Self.failure("remove", path, 39) }
      state.directories[path] = nil
    }
  }
  package func list(_ path: String) throws(FileError) -> [String] {
    try call(.list, path) { (state) throws(FileError) -> [String] in
      var names = Set((state.directories[path]?.entries.keys).map(Array.init) ?? [])
      for other in state.directories.keys where other.hasPrefix(path + "/") {
        names.insert(String(other.dropFirst(path.count + 1).prefix { $0 != "/" }))
      }
      return names.sorted()
    }
  }
  package func exists(_ path: String) -> Bool {
    state.withLock { $0.file(path) != nil || $0.directories[path] != nil }
  }
  package func flushDirectory(_ path: String) throws(FileError) {
    try call(.flushDirectory, path) { (state) throws(FileError) in
      guard state.directories[path] != nil else { throw Self.failure("flush", path, 2) }
      state.directories[path]!.flush()
    }
  }
  package func freeBytes(_ path: String) throws(FileError) -> UInt64 {
    try call(.freeBytes, path) { (state) throws(FileError) -> UInt64 in
      UInt64(max(0, state.capacityBytes - state.usedBytes))
    }
  }

  // MARK: Inside

  /// Counts a call, makes it fail if it is its turn, runs it under the lock.
  func call<R>(
    _ call: Call, _ path: String, onFault: (inout State) -> Void = { _ in },
    _ body: (inout State) throws(FileError) -> sending R
  ) throws(FileError) -> sending R {
    MayBlock.check("\(call) \(path)")
    let result = state.withLock { state -> Result<R, FileError> in
      state.calls += 1
      state.counts[call, default: 0] += 1
      state.delay(call)
      if state.stops() {
        // Some of a write is done; of a flush that nobody waits for any more, nothing is known to be lost.
        if call == .write { onFault(&state) }
        return .failure(Self.failure("\(call)", path, Fault.inputOutput))
      }
      if state.failsByChance(call) {
        onFault(&state)
        return .failure(Self.failure("\(call)", path, Fault.inputOutput))
      }
      if let fault = state.takeFault(call) {
        onFault(&state)
        return .failure(Self.failure("\(call)", path, fault))
      }
      do throws(FileError) { return .success(try body(&state)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  static func failure(_ operation: String, _ path: String, _ errno: Int32) -> FileError {
    let reason =
      switch errno {
      case 2: "No such file or directory"
      case 5: "Input/output error (simulated)"
      case 9: "Bad file descriptor"
      case 28: "No space left on device (simulated)"
      default: "error \(errno)"
      }
    return FileError(operation: operation, path: path, errno: errno, reason: reason)
  }

  static func split(_ path: String) -> (directory: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return ("", path) }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
  }
}

extension SimulatedFileSystem.State {
  mutating func endLife() {
    life += 1
    callsLeft = nil
    onStop = nil
  }
  /// With all that is in it; durable at once, as a new directory is.
  mutating func renameDirectory(_ from: String, _ to: String) {
    for path in directories.keys.filter({ $0 == from || $0.hasPrefix(from + "/") }) {
      directories[to + path.dropFirst(from.count)] = directories.removeValue(forKey: path)
    }
  }
  /// Counts down to the call in which the process ends.
  mutating func stops() -> Bool {
    guard let left = callsLeft else { return false }
    callsLeft = max(0, left - 1)
    guard left <= 1 else { return false }
    onStop?()
    onStop = nil
    return true
  }
  mutating func failsByChance(_ call: SimulatedFileSystem.Call) -> Bool {
    guard let rate = failurePerMillion[call], random.below(1_000_000) < rate else { return false }
    faultFired = true
    return true
  }
  mutating func delay(_ call: SimulatedFileSystem.Call) {
    guard let range = latencyMicroseconds, call == .flush || call == .flushDirectory else { return }
    latency += range.lowerBound + random.below(range.upperBound - range.lowerBound + 1)
  }
  func file(_ path: String) -> SimulatedContent? {
    let (directory, name) = SimulatedFileSystem.split(path)
    return directories[directory]?.entries[name]
  }
  var usedBytes: Int {
    directories.values.reduce(0) { $0 + $1.entries.values.reduce(0) { $0 + $1.data.count } }
  }
  mutating func takeFault(_ call: SimulatedFileSystem.Call) -> Int32? {
    guard let (fault, seen) = fault, fault.call == nil || fault.call == call else { return nil }
    self.fault = (fault, seen + 1)
    guard seen + 1 == fault.number || (fault.stays && seen + 1 > fault.number) else { return nil }
    faultFired = true
    return fault.errno
  }
}
