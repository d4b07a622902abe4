// Raw memory: expands bytes into memory of the caller's. Every index is checked against both ends.

/// The compression inside Redis's serialised strings. Only reading it is needed: what is written here is not compressed.
///
///     first byte   what follows
///     000nnnnn     n + 1 bytes as they are
///     lllooooo o   l + 2 bytes from o + 1 bytes back; o is of 13 bits, the low 8 in the second byte
///     111ooooo l o the same of l + 9 bytes
enum LZF {
  /// Fills `target` exactly. False if the bytes are no LZF, or of another length. O(target).
  static func expand(_ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Bool {
    var at = 0
    var filled = 0
    while at < bytes.count {
      let control = Int(bytes[at])
      at += 1
      if control < 32 {
        let count = control + 1
        guard count <= bytes.count - at, count <= target.count - filled else { return false }
        UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[at..<at + count]))
        at += count
        filled += count
        continue
      }
      var count = control >> 5 + 2
      if count == 9 {
        guard at < bytes.count else { return false }
        count += Int(bytes[at])
        at += 1
      }
      guard at < bytes.count else { return false }
      let distance = (control & 31) << 8 + Int(bytes[at]) + 1
      at += 1
      guard distance <= filled, count <= target.count - filled else { return false }
      // Byte by byte: what is copied may be what was just written.
      for _ in 0..<count {
        target[filled] = target[filled - distance]
        filled += 1
      }
    }
    return filled == target.count
  }
}
