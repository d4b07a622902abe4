// Raw memory: the table of segment addresses; from an index entry to a record.
import CSupport
import Core
import Synchronization

/// Where the segments lie in memory, by slot: what an index entry's slot number means.
///
/// A view of memory that the store owns. Readers use it inside an epoch; what it leads to is unmapped after them.
@usableFromInline
struct SegmentAddresses: @unchecked Sendable {
  // Safe to share: addresses are atomics, and an end is set before the address that makes it known.
  /// Address of a segment's first byte; bit 0 set for a mapped file, whose records are verified at every read.
  @usableFromInline let bases: UnsafeMutablePointer<Atomic<UInt>>
  /// Size of a segment's mapping or memory.
  private let ends: UnsafeMutablePointer<Int>

  init() {
    let slots = IndexEntry.segmentSlotsMax
    bases = Pages.zeroed(slots * 8).bindMemory(to: Atomic<UInt>.self, capacity: slots)
    ends = Pages.zeroed(slots * 8).bindMemory(to: Int.self, capacity: slots)
  }
  func free() {
    Pages.free(bases, IndexEntry.segmentSlotsMax * 8)
    Pages.free(ends, IndexEntry.segmentSlotsMax * 8)
  }

  // MARK: Reading

  /// The record behind an entry, and whether it lies in a mapped file.
  @inlinable @inline(__always)
  func record(_ entry: IndexEntry) -> (record: RecordView, mapped: Bool) {
    let base = bases[entry.segment].load(ordering: .acquiring)
    return (
      RecordView(UnsafeRawPointer(bitPattern: (base & ~1) &+ UInt(bitPattern: entry.offset))!), base & 1 != 0
    )
  }

  /// The first byte of a segment, and whether it is a mapped file; nil if the slot has none.
  func segment(_ slot: Int) -> (start: UnsafeRawPointer, mapped: Bool)? {
    let base = bases[slot].load(ordering: .acquiring)
    return UnsafeRawPointer(bitPattern: base & ~1).map { ($0, base & 1 != 0) }
  }
  func start(_ slot: Int) -> UnsafeRawPointer? { segment(slot)?.start }

  /// Verifies a record of a mapped file without trusting its lengths.
  @inline(never) @usableFromInline
  func isIntact(_ record: RecordView, _ entry: IndexEntry) -> Bool {
    record.verify(available: ends[entry.segment] - entry.offset) == .good
  }

  /// The record behind an entry that may be older than the segment which has its slot; nil if no good one is there.
  func intactRecord(_ entry: IndexEntry) -> RecordView? {
    guard bases[entry.segment].load(ordering: .acquiring) != 0 else { return nil }
    let record = record(entry).record
    return isIntact(record, entry) ? record : nil
  }

  /// The entry of a record in this segment, by its address; nil if it lies elsewhere.
  func entry(of record: RecordView, slot: Int) -> IndexEntry? {
    guard let start = start(slot), record.base >= start, record.base - start < ends[slot] else { return nil }
    return IndexEntry(tag: 0, segment: slot, offset: record.base - start)
  }

  /// Asks the processor to fetch a record.
  @inlinable @inline(__always)
  func prefetch(_ entry: IndexEntry) {
    let base = bases[entry.segment].load(ordering: .relaxed)
    let address = (base & ~1) &+ UInt(bitPattern: entry.offset)
    paceline_prefetch(UnsafeRawPointer(bitPattern: address)!)
    paceline_prefetch(UnsafeRawPointer(bitPattern: address &+ 64)!)
    paceline_prefetch(UnsafeRawPointer(bitPattern: address &+ 128)!)
  }

  // MARK: Changes

  func publish(_ memory: SegmentMemory, capacity: Int, slot: Int) {
    ends[slot] = capacity
    bases[slot].store(UInt(bitPattern: memory.start), ordering: .releasing)
  }
  /// The same records, from a file from now on.
  func publish(_ mapping: MappedFile, slot: Int) {
    ends[slot] = mapping.count
    bases[slot].store(UInt(bitPattern: mapping.start) | 1, ordering: .releasing)
  }
  func withdraw(_ slot: Int) { bases[slot].store(0, ordering: .releasing) }
}
