// Raw memory: the open-addressed key index. Readers take no lock.
import CSupport
import Core
import Synchronization

/// One partition. Its slots are in a block: word 0 is the capacity, word 1 the number of slots with the overflow
/// at the end, slots from word 8 on. The block is replaced as a whole when the partition grows, so a reader always
/// sees slots and capacity that belong together.
@usableFromInline
struct Partition: ~Copyable {
  @usableFromInline let block: Atomic<UInt>
  /// The LSN of the newest record that took a key out of this partition: a reader that finds nothing saw a state
  /// that is no older than this.
  @usableFromInline let lastRemoval = Atomic<UInt64>(0)
  /// Sum of `RecordView.digest` over the live records. Writer only.
  @usableFromInline var digest: UInt64 = 0
  /// Live keys; slots in use with vacated ones. Writer only.
  @usableFromInline var live: Int32 = 0
  @usableFromInline var used: Int32
  @usableFromInline init(block: UInt, used: Int32) {
    self.block = Atomic(block)
    self.used = used
  }
}

/// The key index of one table: 1024 partitions of 8-byte entries, linear probing, each growing on its own.
///
/// Reads by any thread inside an epoch; writes by one thread at a time (the store's write lock). Who writes is a
/// `KeyLedger`, which keeps the segments' live bytes and records in step with it.
///
/// Invariant: a partition's digest and number of keys are those of the records that its entries point at.
///
/// The home slot of a tag is `tag * capacity >> 24`: slots are in the order of tags, whatever the capacity, which is
/// what gives SCAN a cursor that survives growth.
public final class KeyIndex: @unchecked Sendable {
  // Safe to share: see above. Blocks are freed through the epoch domain.
  public static let partitionCount = 1024
  @usableFromInline static let slotsAt = 8
  @usableFromInline let partitions: UnsafeMutablePointer<Partition>
  private let epochs: EpochDomain

  /// The block of every partition without a key: nothing is ever put into it, and it belongs to nobody.
  // Safe to share: only read.
  nonisolated(unsafe) private static let emptyBlock = newBlock(capacity: 16)

  /// Takes memory for a partition with its first key.
  public init(epochs: EpochDomain) {
    self.epochs = epochs
    partitions = .allocate(capacity: Self.partitionCount)
    let empty = UInt(bitPattern: Self.emptyBlock)
    // Full, as the writer sees it: the first key makes a block.
    for i in 0..<Self.partitionCount { (partitions + i).initialize(to: Partition(block: empty, used: 16)) }
  }

  /// A copy that grows on its own. The caller keeps writers of `other` away. O(slots).
  init(copying other: KeyIndex) {
    epochs = other.epochs
    partitions = .allocate(capacity: Self.partitionCount)
    for i in 0..<Self.partitionCount {
      let source = other.block(i)
      guard source != Self.emptyBlock else {
        (partitions + i).initialize(to: Partition(block: UInt(bitPattern: source), used: 16))
        partitions[i].lastRemoval.store(other.partitions[i].lastRemoval.load(ordering: .acquiring), ordering: .relaxed)
        continue
      }
      let bytes = (Self.slotsAt + Int(source.load(fromByteOffset: 8, as: UInt64.self))) * 8
      let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
      memory.copyMemory(from: source, byteCount: bytes)
      (partitions + i).initialize(to: Partition(block: UInt(bitPattern: memory), used: other.partitions[i].used))
      partitions[i].lastRemoval.store(other.partitions[i].lastRemoval.load(ordering: .acquiring), ordering: .relaxed)
      partitions[i].digest = other.partitions[i].digest
      partitions[i].live = other.partitions[i].live
    }
  }

  deinit {
    for i in 0..<Self.partitionCount where block(i) != Self.emptyBlock { block(i).deallocate() }
    partitions.deinitialize(count: Self.partitionCount)
    partitions.deallocate()
  }

  private static func slotCount(capacity: Int) -> Int { capacity + min(64, 8 + capacity / 8) }

  private static func newBlock(capacity: Int) -> UnsafeMutableRawPointer {
    let slots = slotCount(capacity: capacity)
    let bytes = (slotsAt + slots) * 8
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    memory.storeBytes(of: UInt64(capacity), as: UInt64.self)
    memory.storeBytes(of: UInt64(slots), toByteOffset: 8, as: UInt64.self)
    return memory
  }

  @inlinable @inline(__always) func block(_ partition: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: partitions[partition].block.load(ordering: .acquiring))!
  }

  /// A place in one partition's slots. Only for the thread that holds the write lock, or inside an epoch.
  public struct Cursor {
    @usableFromInline let slots: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let end: Int
    public var index: Int
    @usableFromInline let tag: UInt64

    @inlinable @inline(__always)
    init(_ block: UnsafeMutableRawPointer, tag: UInt64) {
      let capacity = block.load(as: UInt64.self)
      end = Int(truncatingIfNeeded: block.load(fromByteOffset: 8, as: UInt64.self))
      slots = (block + KeyIndex.slotsAt * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
      index = Int(truncatingIfNeeded: (tag &* capacity) >> 24)
      self.tag = tag
    }

    /// The next entry with this tag, or `empty` when there is none. `index` is then behind it.
    @inlinable @inline(__always)
    public mutating func next() -> IndexEntry {
      while index < end {
        let word = slots[index].load(ordering: .acquiring)
        index &+= 1
        if word == 0 { break }
        if word >> 40 == tag, word != 1 { return IndexEntry(word: word) }
      }
      return .empty
    }
  }

  @inlinable @inline(__always)
  public func cursor(_ hash: IndexHash) -> Cursor { Cursor(block(hash.partition), tag: hash.tag) }

  /// Asks the processor to fetch the home slot: the batch executor does so for the commands ahead.
  @inlinable @inline(__always)
  public func prefetch(_ hash: IndexHash) {
    let block = block(hash.partition)
    let capacity = block.load(as: UInt64.self)
    let home = Int(truncatingIfNeeded: (hash.tag &* capacity) >> 24)
    paceline_prefetch(block + (Self.slotsAt + home) * 8)
  }

  /// The slot that holds this very entry, as `cursor.next()` would leave it; nil if the key's path has none.
  func cursor(_ hash: IndexHash, at entry: IndexEntry) -> Cursor? {
    var cursor = cursor(hash)
    while true {
      let found = cursor.next()
      if found == entry { return cursor }
      if found == .empty { return nil }
    }
  }

  /// The entries on a key's path: the key's own, and those of other keys with the same tag.
  func path(_ hash: IndexHash) -> [IndexEntry] {
    var cursor = cursor(hash)
    var entries: [IndexEntry] = []
    while true {
      let entry = cursor.next()
      if entry == .empty { return entries }
      entries.append(entry)
    }
  }

  /// The LSN of the newest record that took a key out of a partition.
  @inlinable @inline(__always)
  public func lastRemoval(partition: Int) -> UInt64 { partitions[partition].lastRemoval.load(ordering: .acquiring) }

  // MARK: Writes, under the write lock

  /// Points an existing slot, found by `cursor.next()`, at a newer record.
  /// - Parameter change: of the partition's digest.
  @inlinable @inline(__always)
  func replace(_ cursor: Cursor, _ hash: IndexHash, with entry: IndexEntry, digestChange change: UInt64) {
    partitions[hash.partition].digest &+= change
    cursor.slots[cursor.index - 1].store(entry.word, ordering: .releasing)
  }

  /// Adds a key that is not there. Grows the partition when four fifths of it are in use. Amortised O(1).
  public func insert(_ hash: IndexHash, _ entry: IndexEntry, digest: UInt64) {
    let p = hash.partition
    let capacity = Int(block(p).load(as: UInt64.self))
    if Int(partitions[p].used) * 5 >= capacity * 4 { rebuild(p, reserve: 1) }
    while !place(entry, tag: hash.tag, in: block(p), usedSlots: &partitions[p].used) {
      rebuild(p, reserve: max(8, Int(partitions[p].live) / 8))
    }
    partitions[p].live += 1
    partitions[p].digest &+= digest
  }

  /// Takes out the key found by `cursor.next()`.
  func remove(_ hash: IndexHash, _ cursor: Cursor, digest: UInt64, removedBy lsn: UInt64) {
    let p = hash.partition
    // The LSN first: a reader that sees the slot vacated must also see why.
    partitions[p].lastRemoval.store(max(lsn, lastRemoval(partition: p)), ordering: .releasing)
    cursor.slots[cursor.index - 1].store(IndexEntry.vacated.word, ordering: .releasing)
    partitions[p].live -= 1
    partitions[p].digest &-= digest
  }

  /// Corrects a partition's digest and number of keys, which have parted from its entries.
  func correct(partition p: Int, digest: UInt64, keys: Int32) {
    partitions[p].digest &+= digest
    partitions[p].live &+= keys
  }

  /// First free slot from home on. false when the overflow at the end is full.
  private func place(
    _ entry: IndexEntry, tag: UInt64, in block: UnsafeMutableRawPointer, usedSlots: inout Int32
  ) -> Bool {
    var cursor = Cursor(block, tag: tag)
    while cursor.index < cursor.end {
      let word = cursor.slots[cursor.index].load(ordering: .relaxed)
      if word == 0 || word == IndexEntry.vacated.word {
        cursor.slots[cursor.index].store(entry.word, ordering: .releasing)
        if word == 0 { usedSlots += 1 }
        return true
      }
      cursor.index += 1
    }
    return false
  }

  /// Moves a partition to a new block with room: five eighths full afterwards, or as `fill` says. O(partition), tens of microseconds.
  private func rebuild(_ p: Int, reserve: Int, fill: (keys: Int, slots: Int) = (5, 8)) {
    let old = block(p)
    let slots = Int(old.load(fromByteOffset: 8, as: UInt64.self))
    var capacity = max(16, (Int(partitions[p].live) + reserve) * fill.slots / fill.keys)
    let words = (old + Self.slotsAt * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    while true {
      let fresh = Self.newBlock(capacity: capacity)
      var used: Int32 = 0
      var fits = true
      for i in 0..<slots {
        let entry = IndexEntry(word: words[i].load(ordering: .relaxed))
        if entry == .empty || entry == .vacated { continue }
        if !place(entry, tag: entry.tag, in: fresh, usedSlots: &used) {
          fits = false
          break
        }
      }
      if fits {
        partitions[p].used = used
        partitions[p].block.store(UInt(bitPattern: fresh), ordering: .releasing)
        guard old != Self.emptyBlock else { return }
        let address = UInt(bitPattern: old)
        epochs.retire { UnsafeMutableRawPointer(bitPattern: address)!.deallocate() }
        return
      }
      fresh.deallocate()
      capacity += capacity / 4 + 16
    }
  }

  /// Makes room for `keys` keys before a load, so that nothing is rebuilt on the way.
  public func reserve(keys: Int) {
    let each = keys / Self.partitionCount
    for p in 0..<Self.partitionCount where each > Int(partitions[p].live) {
      rebuild(p, reserve: each - Int(partitions[p].live) + each / 16, fill: (3, 4))
    }
  }

  // MARK: Walks

  /// Calls `body` with every entry whose tag is in `tags`, in partition `p`. Order is that of the slots.
  public func forEach(partition p: Int, tags: Range<UInt64>, _ body: (IndexEntry) -> Void) {
    guard !tags.isEmpty else { return }
    let block = block(p)
    let capacity = block.load(as: UInt64.self)
    var cursor = Cursor(block, tag: tags.lowerBound)
    let last = Int(truncatingIfNeeded: ((tags.upperBound - 1) &* capacity) >> 24)
    while cursor.index < cursor.end {
      let entry = IndexEntry(word: cursor.slots[cursor.index].load(ordering: .acquiring))
      // Beyond the home of the last tag, entries of the range can stand only until the run of used slots ends.
      if entry == .empty && cursor.index >= last { break }
      if entry != .empty, entry != .vacated, tags.contains(entry.tag) { body(entry) }
      cursor.index += 1
    }
  }

  public func slotCount(partition p: Int) -> Int { Int(block(p).load(as: UInt64.self)) }
  /// Memory of all partitions.
  public var allocatedBytes: Int {
    var sum = Self.partitionCount * MemoryLayout<Partition>.stride
    for p in 0..<Self.partitionCount where block(p) != Self.emptyBlock {
      sum += (Self.slotsAt + Int(block(p).load(fromByteOffset: 8, as: UInt64.self))) * 8
    }
    return sum
  }
  /// A partition's digest and number of keys. Writer only.
  func sums(partition p: Int) -> (digest: UInt64, keys: Int32) { (partitions[p].digest, partitions[p].live) }
  public var count: Int {
    var sum = 0
    for p in 0..<Self.partitionCount { sum += Int(partitions[p].live) }
    return sum
  }
  /// Sum of the partitions' digests. Writer only.
  public var digest: UInt64 {
    var sum: UInt64 = 0
    for p in 0..<Self.partitionCount { sum = sum &+ partitions[p].digest }
    return sum
  }
}
