// Raw memory: the table of the dictionaries of mapped files, by slot.
import Core
import Synchronization

/// The dictionaries of one data file, by table. Immutable.
final class DictionarySet: Sendable {
  let byTable: [UInt32: ValueDictionary]
  init(_ byTable: [UInt32: ValueDictionary]) { self.byTable = byTable }
}

/// For each slot of the segment tables the dictionaries of its file, or nothing. Owned by the store. Readers load an
/// address inside their epoch; what is taken away is freed after them, as the mappings behind `bases` are.
final class SlotDictionaries: @unchecked Sendable {
  // Safe to share: atomics; changed under the store's write lock only.
  private let sets: UnsafeMutablePointer<Atomic<UInt>>
  private let epochs: EpochDomain
  /// Slots that have a set; for `deinit`.
  private var used: Set<Int> = []

  init(epochs: EpochDomain) {
    self.epochs = epochs
    sets = Pages.zeroed(IndexEntry.segmentSlotsMax * 8)
      .bindMemory(to: Atomic<UInt>.self, capacity: IndexEntry.segmentSlotsMax)
  }

  deinit {
    for slot in used { Self.release(sets[slot].load(ordering: .relaxed)) }
    Pages.free(sets, IndexEntry.segmentSlotsMax * 8)
  }

  private static func release(_ address: UInt) {
    if let pointer = UnsafeRawPointer(bitPattern: address) { Unmanaged<DictionarySet>.fromOpaque(pointer).release() }
  }

  func replace(_ slot: Int, with dictionaries: [UInt32: ValueDictionary]) {
    var fresh: UInt = 0
    if dictionaries.isEmpty {
      used.remove(slot)
    } else {
      fresh = UInt(bitPattern: Unmanaged.passRetained(DictionarySet(dictionaries)).toOpaque())
      used.insert(slot)
    }
    let old = sets[slot].exchange(fresh, ordering: .acquiringAndReleasing)
    if old != 0 { epochs.retire { Self.release(old) } }
  }

  func find(_ slot: Int, table: UInt32) -> ValueDictionary? {
    guard let pointer = UnsafeRawPointer(bitPattern: sets[slot].load(ordering: .acquiring)) else { return nil }
    return Unmanaged<DictionarySet>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.byTable[table] }
  }
}

extension LogStore {
  /// The dictionary of a table's values in the file at a slot. Inside an epoch or under the write lock. O(1).
  public func dictionary(forSlot slot: Int, table: UInt32) -> ValueDictionary? {
    dictionaries.find(slot, table: table)
  }

  /// Sets the dictionaries of the file at a slot: before an index entry points there.
  public func setDictionaries(_ byTable: [UInt32: ValueDictionary], slot: Int, _ access: borrowing WriteAccess) {
    dictionaries.replace(slot, with: byTable)
  }

  /// Reads those in the head of a data file. Returns what is wrong with them, nil if nothing is.
  func loadDictionaries(
    _ mapping: MappedFile, _ header: SegmentFormat.Header, slot: Int, _ access: borrowing WriteAccess
  ) -> String? {
    guard header.recordsAt > SegmentFormat.headerBytes else { return nil }
    let part = UnsafeRawBufferPointer(rebasing: mapping.bytes[SegmentFormat.headerBytes..<header.recordsAt])
    do throws(DictionaryDamage) {
      let (dictionaries, damage) = try ValueDictionary.decodeHead(part)
      setDictionaries(dictionaries, slot: slot, access)
      return damage.map { "\($0); the other copy of them is good" }
    } catch {
      return "\(error); values compressed with a dictionary cannot be read"
    }
  }

  /// Takes them away when the slot is given up: when no index entry points there any more.
  public func clearDictionaries(slot: Int, _ access: borrowing WriteAccess) { dictionaries.replace(slot, with: [:]) }
}
