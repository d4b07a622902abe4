// Raw memory: copies written bytes out of the caller's memory.
import LogStore

/// The names in one directory, and the changes that a crash may undo.
struct SimulatedDirectory {
  private enum Change {
    case put(String, SimulatedContent)
    case rename(String, String)
    case remove(String)
  }
  private(set) var entries: [String: SimulatedContent] = [:]
  private var durable: [String: SimulatedContent] = [:]
  private var pending: [Change] = []

  mutating func put(_ name: String, _ file: SimulatedContent) { change(.put(name, file)) }
  mutating func rename(_ name: String, to other: String) { change(.rename(name, other)) }
  mutating func remove(_ name: String) { change(.remove(name)) }
  mutating func flush() {
    durable = entries
    pending = []
  }
  /// A journal keeps the order of changes: a prefix of them survives.
  mutating func crash(_ random: inout SplitMix64) {
    for change in pending.prefix(random.below(pending.count + 1)) { Self.apply(change, to: &durable) }
    entries = durable
    pending = []
  }

  private mutating func change(_ change: Change) {
    Self.apply(change, to: &entries)
    pending.append(change)
  }
  private static func apply(_ change: Change, to names: inout [String: SimulatedContent]) {
    switch change {
    case .put(let name, let file): names[name] = file
    case .rename(let from, let to):
      names[to] = names[from]
      names[from] = nil
    case .remove(let name): names[name] = nil
    }
  }
}

/// The bytes of one file: as they are read now, and what a crash can make of them.
///
/// Guarded by the file system's lock.
final class SimulatedContent: @unchecked Sendable {
  // Safe to share: only touched under the file system's lock.
  static let pageBytes = 4096
  static let sectorBytes = 512

  var data: [UInt8] = []
  var flushedBytes = 0
  /// Pages as they were at the last flush, for those written since.
  private var before: [Int: [UInt8]] = [:]
  /// Writes since the last flush, in order.
  private var writes: [(offset: Int, bytes: [UInt8])] = []
  /// Pages whose flush failed: the system calls them clean, they never reach the disk unless they are written again.
  private var lost: Set<Int> = []

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard !bytes.isEmpty else { return }
    let end = offset + bytes.count
    remember(offset..<end)
    if data.count < end { data.append(contentsOf: repeatElement(0, count: end - data.count)) }
    data.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset..<end]).copyMemory(from: bytes) }
    writes.append((offset, Array(bytes)))
    for page in offset / Self.pageBytes...(end - 1) / Self.pageBytes { lost.remove(page) }
  }

  func truncate(_ bytes: Int) {
    if bytes < data.count {
      remember(bytes..<data.count)
      writes.append((bytes, Array(repeating: 0, count: data.count - bytes)))
      data.removeLast(data.count - bytes)
    } else {
      data.append(contentsOf: repeatElement(0, count: bytes - data.count))
    }
  }

  func flip(offset: Int, bit: Int) {
    data[offset] ^= 1 << UInt8(bit)
    let page = offset / Self.pageBytes
    if let old = before[page], offset % Self.pageBytes < old.count {
      before[page]![offset % Self.pageBytes] ^= 1 << UInt8(bit)
    }
  }

  func flush() {
    flushedBytes = data.count
    writes = []
    before = before.filter { lost.contains($0.key) }
  }
  /// The system gives up what was dirty and forgets that it was.
  func flushFailed() {
    lost.formUnion(before.keys)
    writes = []
  }

  private func remember(_ range: Range<Int>) {
    for page in range.lowerBound / Self.pageBytes...(max(range.upperBound, range.lowerBound + 1) - 1) / Self.pageBytes
    where before[page] == nil {
      let start = min(page * Self.pageBytes, data.count)
      before[page] = Array(data[start..<min(start + Self.pageBytes, data.count)])
    }
  }

  func crash(_ random: inout SplitMix64) {
    let size = random.chance(50) ? data.count : flushedBytes
    var image = data
    let longest = max(data.count, flushedBytes, before.keys.max().map { ($0 + 1) * Self.pageBytes } ?? 0)
    image.append(contentsOf: repeatElement(0, count: longest - image.count))
    // Back to the last flush ...
    for (page, old) in before {
      let start = page * Self.pageBytes
      for i in 0..<Self.pageBytes where start + i < image.count { image[start + i] = i < old.count ? old[i] : 0 }
    }
    // ... and forward again, each page or sector as far as the disk had come.
    var versions: [Int: Int] = [:]
    for page in before.keys.sorted() {
      let whole = [0, writes.count, random.below(writes.count + 1)][random.below(3)]
      let torn = random.chance(40)
      for sector in 0..<Self.pageBytes / Self.sectorBytes {
        let number = page * (Self.pageBytes / Self.sectorBytes) + sector
        versions[number] = torn ? [0, writes.count, random.below(writes.count + 1)][random.below(3)] : whole
        if lost.contains(page) { versions[number] = 0 }
      }
    }
    for (index, write) in writes.enumerated() {
      for i in 0..<write.bytes.count where index < versions[(write.offset + i) / Self.sectorBytes] ?? 0 {
        image[write.offset + i] = write.bytes[i]
      }
    }
    data = Array(image.prefix(size))
    flushedBytes = size
    before = [:]
    writes = []
    lost = []
  }
}

/// An open simulated file; dead when the process that opened it has ended.
final class SimulatedFile: OpenFile, @unchecked Sendable {
  // Safe to share: everything goes through the file system's lock.
  private let fileSystem: SimulatedFileSystem
  private let content: SimulatedContent
  private let path: String
  private let life: Int
  private var closed = false

  init(_ fileSystem: SimulatedFileSystem, _ content: SimulatedContent, path: String, life: Int) {
    self.fileSystem = fileSystem
    self.content = content
    self.path = path
    self.life = life
  }

  private func call<R>(
    _ call: SimulatedFileSystem.Call, onFault: (inout SimulatedFileSystem.State) -> Void = { _ in },
    _ body: (inout SimulatedFileSystem.State) throws(FileError) -> sending R
  ) throws(FileError) -> sending R {
    try fileSystem.call(call, path, onFault: onFault) { (state) throws(FileError) -> R in
      guard state.life == life, !closed else { throw SimulatedFileSystem.failure("\(call)", path, 9) }
      return try body(&state)
    }
  }

  /// A write that fails for lack of space, or by a fault, has written some of its bytes.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
    let offset = Int(offset)
    let partial = { (state: inout SimulatedFileSystem.State) in
      guard state.life == self.life, !self.closed else { return }
      self.content.write(.init(rebasing: bytes.prefix(state.random.below(bytes.count))), at: offset)
    }
    try call(.write, onFault: partial) { (state) throws(FileError) in
      let growth = max(0, offset + bytes.count - content.data.count)
      let room = max(0, state.capacityBytes - state.usedBytes)
      guard growth <= room else {
        let fits = max(0, min(bytes.count, content.data.count + room - offset))
        content.write(.init(rebasing: bytes.prefix(fits)), at: offset)
        throw SimulatedFileSystem.failure("write", path, FileError.noSpaceCode)
      }
      content.write(bytes, at: offset)
    }
  }

  func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
    try call(.read) { (_) throws(FileError) -> [UInt8] in
      let from = min(Int(offset), content.data.count)
      return Array(content.data[from..<min(from + count, content.data.count)])
    }
  }

  func flush() throws(FileError) {
    try call(.flush, onFault: { _ in self.content.flushFailed() }) { (_) throws(FileError) in content.flush() }
  }

  func reserve(_ bytes: UInt64) throws(FileError) {
    try call(.reserve) { (state) throws(FileError) in
      let growth = max(0, Int(bytes) - content.data.count)
      guard growth <= max(0, state.capacityBytes - state.usedBytes) else {
        throw SimulatedFileSystem.failure("reserve \(bytes) bytes for", path, FileError.noSpaceCode)
      }
      if growth > 0 { content.truncate(Int(bytes)) }
    }
  }

  func truncate(_ bytes: UInt64) throws(FileError) {
    try call(.truncate) { (_) throws(FileError) in content.truncate(Int(bytes)) }
  }
  func size() throws(FileError) -> UInt64 {
    try call(.size) { (_) throws(FileError) -> UInt64 in UInt64(content.data.count) }
  }
  func close() { closed = true }
}
