// Raw memory: the tables of per-segment counters.

/// How much of each segment the key indexes point at: what is alive there.
///
/// Bytes are counted by segment and MiB of its file, addressed by the upper bits of an index entry: so what is alive and
/// newer than an LSN is a sum over them. A view of memory; whoever made it frees it.
@usableFromInline
struct LiveCounts: @unchecked Sendable {
  // Safe to share: written by one thread at a time, the one that holds the write lock or owns the share.
  @usableFromInline static let bucketsPerSlot = 64
  @usableFromInline let bytes: UnsafeMutablePointer<Int32>
  @usableFromInline let records: UnsafeMutablePointer<Int32>
  let slots: Int

  /// Zeros. Costs memory only where it is touched.
  init(slots: Int) {
    self.slots = slots
    let buckets = slots * Self.bucketsPerSlot
    bytes = Pages.zeroed(buckets * 4).bindMemory(to: Int32.self, capacity: buckets)
    records = Pages.zeroed(slots * 4).bindMemory(to: Int32.self, capacity: slots)
  }
  func free() {
    Pages.free(bytes, slots * Self.bucketsPerSlot * 4)
    Pages.free(records, slots * 4)
  }

  @inlinable @inline(__always)
  func born(_ entry: IndexEntry, bytes count: Int) {
    bytes[entry.bucket] &+= Int32(truncatingIfNeeded: count)
    records[entry.segment] &+= 1
  }
  @inlinable @inline(__always)
  func died(_ entry: IndexEntry, bytes count: Int) {
    bytes[entry.bucket] &-= Int32(truncatingIfNeeded: count)
    records[entry.segment] &-= 1
  }

  /// Adds what was counted elsewhere.
  func add(_ other: LiveCounts) {
    for slot in 0..<other.slots { records[slot] &+= other.records[slot] }
    for bucket in 0..<other.slots * Self.bucketsPerSlot { bytes[bucket] &+= other.bytes[bucket] }
  }
  func clear(slot: Int) {
    (bytes + slot * Self.bucketsPerSlot).update(repeating: 0, count: Self.bucketsPerSlot)
    records[slot] = 0
  }

  func recordCount(slot: Int) -> Int { Int(records[slot]) }
  func byteCount(slot: Int) -> Int { byteCount(slot: slot, fromMebibyte: 0) }
  /// Of the part of a segment from a MiB of its file on.
  func byteCount(slot: Int, fromMebibyte first: Int) -> Int {
    var sum = 0
    for bucket in first..<max(first, Self.bucketsPerSlot) { sum += Int(bytes[slot * Self.bucketsPerSlot + bucket]) }
    return sum
  }
}
