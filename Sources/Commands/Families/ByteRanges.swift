// Raw memory: copies and fills bytes of values.

/// Copies `bytes` to `place`, which has room for them.
@inline(__always)
func copy(_ bytes: UnsafeRawBufferPointer, to place: UnsafeMutableRawPointer) {
  if let source = bytes.baseAddress { place.copyMemory(from: source, byteCount: bytes.count) }
}

@inline(__always)
func copy(_ bytes: Slice<UnsafeRawBufferPointer>, to place: UnsafeMutableRawPointer) {
  copy(UnsafeRawBufferPointer(rebasing: bytes), to: place)
}

@inline(__always)
func fillWithZeros(_ place: UnsafeMutableRawPointer, _ count: Int) {
  _ = UnsafeMutableRawBufferPointer(start: place, count: count).initializeMemory(as: UInt8.self, repeating: 0)
}

/// The part of `0..<length` that Redis's inclusive `start` and `end` name; negative ones count from the end. nil if it
/// is empty.
@inline(__always)
func clampedRange(_ start: Int64, _ end: Int64, length: Int) -> Range<Int>? {
  // A negative number and a length never overflow together.
  let first = start < 0 ? max(0, Int64(length) + start) : start
  let last = min(end < 0 ? max(0, Int64(length) + end) : end, Int64(length) - 1)
  return first <= last ? Int(first)..<Int(last) + 1 : nil
}

/// Both count from the end and the wrong way round: Redis calls that empty, whatever the clamping would make of it.
@inline(__always)
func isReversed(_ start: Int64, _ end: Int64) -> Bool { start < 0 && end < 0 && start > end }
