// Raw memory: counts and finds bits, eight bytes at a time.
import Core

/// Bits of a value as Redis numbers them: bit 0 is the most significant one of the first byte.
struct BitView {
  let bytes: UnsafeRawBufferPointer

  var count: Int { bytes.count * 8 }

  /// How many bits of `range` are set. O(range / 64).
  func setBits(in range: Range<Int>) -> Int {
    guard let start = bytes.baseAddress, !range.isEmpty else { return 0 }
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "bits \(range) of \(count)")
    let firstByte = range.lowerBound >> 3
    let lastByte = (range.upperBound - 1) >> 3
    let firstMask = UInt8(0xFF) >> UInt8(range.lowerBound & 7)
    let lastMask = UInt8(0xFF) << UInt8(7 - (range.upperBound - 1) & 7)
    if firstByte == lastByte { return (start.u8(firstByte) & firstMask & lastMask).nonzeroBitCount }
    var sum = (start.u8(firstByte) & firstMask).nonzeroBitCount + (start.u8(lastByte) & lastMask).nonzeroBitCount
    var at = firstByte + 1
    while at + 8 <= lastByte {
      sum += start.u64(at).nonzeroBitCount
      at += 8
    }
    while at < lastByte {
      sum += start.u8(at).nonzeroBitCount
      at += 1
    }
    return sum
  }

  /// The first bit of `range` that is set, or clear; nil if there is none. O(range / 64).
  func first(_ isSet: Bool, in range: Range<Int>) -> Int? {
    guard let start = bytes.baseAddress, !range.isEmpty else { return nil }
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "bits \(range) of \(count)")
    let dull: UInt64 = isSet ? 0 : .max
    var at = range.lowerBound
    while at < range.upperBound {
      if at & 7 == 0 {
        while at + 64 <= range.upperBound, start.u64(at >> 3) == dull { at += 64 }
        if at == range.upperBound { return nil }
      }
      let wanted = (start.u8(at >> 3) ^ UInt8(truncatingIfNeeded: dull)) & (0xFF >> UInt8(at & 7))
      if wanted != 0 {
        let found = at & ~7 + wanted.leadingZeroBitCount
        return found < range.upperBound ? found : nil
      }
      at = at & ~7 + 8
    }
    return nil
  }
}

/// The operations of BITOP.
enum BitOperation {
  case and, or, xor, not

  init?(_ word: UnsafeRawBufferPointer) {
    if isWord(word, "AND") {
      self = .and
    } else if isWord(word, "OR") {
      self = .or
    } else if isWord(word, "XOR") {
      self = .xor
    } else if isWord(word, "NOT") {
      self = .not
    } else {
      return nil
    }
  }

  /// Fills `target` with the combination of `sources`, each as if zeros followed it. O(bytes of all sources).
  func combine(_ sources: [UnsafeRawBufferPointer], into target: UnsafeMutableRawBufferPointer) {
    guard let start = target.baseAddress, let first = sources.first else { return }
    copy(first, to: start)
    fillWithZeros(start + first.count, target.count - first.count)
    if self == .not {
      for i in target.indices { target[i] = ~target[i] }
      return
    }
    for source in sources.dropFirst() {
      switch self {
      case .and:
        merge(source, into: start, &, &)
        fillWithZeros(start + source.count, target.count - source.count)
      case .or: merge(source, into: start, |, |)
      case .xor: merge(source, into: start, ^, ^)
      case .not: preconditionFailure("NOT has one source")
      }
    }
  }

  @inline(__always)
  private func merge(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer, _ words: (UInt64, UInt64) -> UInt64,
    _ bytes: (UInt8, UInt8) -> UInt8
  ) {
    guard let from = source.baseAddress else { return }
    let to = UnsafeRawPointer(target)
    var at = 0
    while at + 8 <= source.count {
      target.put(words(to.u64(at), from.u64(at)), at: at)
      at += 8
    }
    while at < source.count {
      target.put(bytes(to.u8(at), from.u8(at)), at: at)
      at += 1
    }
  }
}
