// Raw memory: pattern and key are read in place, both possibly from a client.

/// Redis's glob patterns over bytes: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and `\` before a byte that is meant literally.
///
/// A class without its `]` ends with the pattern; a lone `\` at the end means itself. Ranges compare unsigned bytes.
/// The empty key is matched by the empty pattern and by `*`, not by `**`: Redis 7.0's matcher ends with the key, and
/// only the lone `*` never comes to it.
/// - Complexity: O(pattern · key) at worst, without recursion: of several `*` only the last one passed is ever
///   moved, because an earlier one cannot make a match that the last one could not (Redis recursed at each `*`).
public enum GlobPattern {
  /// True if all of `key` matches all of `pattern`. `ignoringCase` means ASCII letters.
  public static func matches(
    _ pattern: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer, ignoringCase: Bool = false
  ) -> Bool {
    if key.isEmpty { return pattern.isEmpty || pattern.elementsEqual(CollectionOfOne(UInt8(ascii: "*"))) }
    var p = 0
    var k = 0
    // Where to go on if what follows the last `*` does not match: that `*` then covers one byte more.
    var retryPattern = -1
    var retryKey = 0
    while k < key.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        p += 1
        if p == pattern.count { return true }
        retryPattern = p
        retryKey = k
        continue
      }
      if p < pattern.count, let next = step(pattern, p, key[k], ignoringCase) {
        p = next
        k += 1
        continue
      }
      guard retryPattern >= 0 else { return false }
      retryKey += 1
      p = retryPattern
      k = retryKey
    }
    while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
    return p == pattern.count
  }

  /// True if the pattern holds nothing special: then it matches one key only, its own bytes.
  public static func isLiteral(_ pattern: UnsafeRawBufferPointer) -> Bool {
    pattern.allSatisfy { byte in
      byte != UInt8(ascii: "*") && byte != UInt8(ascii: "?") && byte != UInt8(ascii: "[") && byte != UInt8(ascii: "\\")
    }
  }

  /// Matches one byte against the pattern's element at `p` (not a `*`). Answers where the next element begins, or nil.
  @inline(__always)
  private static func step(_ pattern: UnsafeRawBufferPointer, _ p: Int, _ byte: UInt8, _ ignoringCase: Bool) -> Int? {
    switch pattern[p] {
    case UInt8(ascii: "?"): return p + 1
    case UInt8(ascii: "["): return matchClass(pattern, p + 1, byte, ignoringCase)
    case UInt8(ascii: "\\") where p + 1 < pattern.count:
      return same(pattern[p + 1], byte, ignoringCase) ? p + 2 : nil
    default: return same(pattern[p], byte, ignoringCase) ? p + 1 : nil
    }
  }

  /// Matches one byte against the class whose inside begins at `begin`. Answers where the next element begins, or nil.
  private static func matchClass(
    _ pattern: UnsafeRawBufferPointer, _ begin: Int, _ byte: UInt8, _ ignoringCase: Bool
  ) -> Int? {
    var p = begin
    var isInverted = false
    if p < pattern.count, pattern[p] == UInt8(ascii: "^") {
      isInverted = true
      p += 1
    }
    var isFound = false
    while p < pattern.count {
      if pattern[p] == UInt8(ascii: "\\"), p + 1 < pattern.count {
        p += 1
        if pattern[p] == byte { isFound = true }
      } else if pattern[p] == UInt8(ascii: "]") {
        p += 1
        break
      } else if p + 2 < pattern.count, pattern[p + 1] == UInt8(ascii: "-") {
        var low = pattern[p]
        var high = pattern[p + 2]
        if low > high { swap(&low, &high) }
        var value = byte
        if ignoringCase {
          low = lowercased(low)
          high = lowercased(high)
          value = lowercased(value)
        }
        if low <= value && value <= high { isFound = true }
        p += 2
      } else if same(pattern[p], byte, ignoringCase) {
        isFound = true
      }
      p += 1
    }
    return isFound != isInverted ? p : nil
  }

  @inline(__always)
  private static func same(_ a: UInt8, _ b: UInt8, _ ignoringCase: Bool) -> Bool {
    ignoringCase ? lowercased(a) == lowercased(b) : a == b
  }
}
