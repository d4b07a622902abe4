/// Which slots of `SegmentAddresses` are free. Slot 0 is never given out: it stands for "no segment". Under the write lock.
struct SegmentSlots {
  private var free: [Int] = []
  /// Slots from here on were never given out.
  private(set) var end = 1

  /// nil when the log has as many segments as can be addressed.
  mutating func take() -> Int? {
    if let slot = free.popLast() { return slot }
    guard end < IndexEntry.segmentSlotsMax else { return nil }
    defer { end += 1 }
    return end
  }

  mutating func giveBack(_ slot: Int) { free.append(slot) }
}
