import RESP
import Testing

struct GlobPatternTests {
  private func matches(_ pattern: String, _ key: String, ignoringCase: Bool = false) -> Bool {
    withBytes(pattern) { p in withBytes(key) { k in GlobPattern.matches(p, k, ignoringCase: ignoringCase) } }
  }

  @Test(arguments: [
    ("*", ""), ("*", "anything"), ("", ""), ("a", "a"), ("?", "a"), ("h?llo", "hello"), ("h*llo", "hllo"),
    ("h*llo", "heeeello"), ("h[ae]llo", "hallo"), ("h[^e]llo", "hallo"), ("h[a-b]llo", "hbllo"),
    ("h[b-a]llo", "hallo"),
    ("a**", "a"), ("**a**", "bab"), ("*a*b*c*", "xxaxxbxxcxx"), ("*.txt", "a.txt.txt"),
    (#"\*"#, "*"), (#"a\?b"#, "a?b"),
    (#"\"#, #"\"#), (#"[\]]"#, "]"), ("[a", "a"), ("[^a", "b"), ("[a-", "-"), ("[a-", "a"), ("a*", "a"), ("*a", "aaaa"),
    ("key:[0-9][0-9]", "key:42"), ("*[0-9]", "x1y2"), ("a\0*b", "a\0xb"), ("?", "\0"), ("[^]", "x"),
  ])
  func `a pattern matches`(pattern: String, key: String) {
    #expect(matches(pattern, key))
  }

  @Test(arguments: [
    ("", "a"), ("a", ""), ("?", ""), ("a", "b"), ("a", "ab"), ("ab", "a"), ("h?llo", "hllo"), ("h[ae]llo", "hillo"),
    ("h[^e]llo", "hello"), ("h[a-b]llo", "hcllo"), ("*a", "aab"), ("a*b", "a"), (#"\*"#, "a"), ("[]a]", "a"),
    ("[", "["),
    ("A", "a"), ("*[0-9]", "1x"), ("*?", ""), ("**", ""), ("[a-z]", ""), ("a\0b", "a\0c"), (#"\a"#, #"\a"#),
  ])
  func `a pattern does not match`(pattern: String, key: String) {
    #expect(!matches(pattern, key))
  }

  @Test func `case can be ignored`() {
    #expect(matches("HeL*[A-Z]", "hello", ignoringCase: true))
    #expect(!matches("HeL*", "hello"))
    #expect(matches("maxmem*", "MAXMEMORY", ignoringCase: true))
  }

  @Test func `bytes are compared unsigned`() {
    let pattern: [UInt8] = [0x5B, 0x80, 0x2D, 0xFF, 0x5D]
    for byte in UInt8.min...UInt8.max {
      let isMatch = pattern.withUnsafeBytes { p in [byte].withUnsafeBytes { GlobPattern.matches(p, $0) } }
      #expect(isMatch == (byte >= 0x80))
    }
  }

  @Test func `many stars take no exponential time`() {
    let key = String(repeating: "a", count: 60)
    #expect(!matches(String(repeating: "a*", count: 30) + "b", key))
    #expect(!matches(String(repeating: "*a", count: 1000) + "*b", String(repeating: "a", count: 10_000)))
    #expect(matches(String(repeating: "a*", count: 30), key))
    #expect(!matches(String(repeating: "*[^b]?", count: 200) + "b", String(repeating: "a", count: 5_000)))
  }

  @Test(arguments: 0..<8 as Range<UInt64>)
  func `random patterns match as the recursive definition says`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let alphabet = Array("ab*?[]^-\\c".utf8)
    let keys = Array("abc]".utf8)
    for _ in 0..<3000 {
      let pattern = (0..<Int.random(in: 0...9, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
      let key = (0..<Int.random(in: 0...8, using: &random)).map { _ in keys.randomElement(using: &random)! }
      let isMatch = pattern.withUnsafeBytes { p in key.withUnsafeBytes { GlobPattern.matches(p, $0) } }
      let wanted = key.isEmpty ? pattern.isEmpty || pattern == Array("*".utf8) : reference(pattern[...], key[...])
      #expect(isMatch == wanted, "\(String(decoding: pattern, as: UTF8.self)) \(key)")
    }
  }

  @Test func `a literal pattern is recognised`() {
    #expect(withBytes("key:1", GlobPattern.isLiteral))
    for special in ["a*", "?", "[a]", #"\a"#] { #expect(!withBytes(special, GlobPattern.isLiteral)) }
  }

  /// Redis's matcher, by recursion at each star.
  private func reference(_ pattern: ArraySlice<UInt8>, _ key: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return key.isEmpty }
    if first == UInt8(ascii: "*") {
      return (0...key.count).contains { reference(pattern.dropFirst(), key.dropFirst($0)) }
    }
    guard let byte = key.first else { return false }
    if first == UInt8(ascii: "?") { return reference(pattern.dropFirst(), key.dropFirst()) }
    if first == UInt8(ascii: "[") {
      var rest = pattern.dropFirst()
      let isInverted = rest.first == UInt8(ascii: "^")
      if isInverted { rest = rest.dropFirst() }
      var isFound = false
      while let next = rest.first {
        let inside = Array(rest.prefix(3))
        if next == UInt8(ascii: "\\"), rest.count >= 2 {
          rest = rest.dropFirst()
          isFound = isFound || rest.first == byte
        } else if next == UInt8(ascii: "]") {
          rest = rest.dropFirst()
          break
        } else if inside.count == 3, inside[1] == UInt8(ascii: "-") {
          isFound = isFound || (min(next, inside[2])...max(next, inside[2])).contains(byte)
          rest = rest.dropFirst(2)
        } else {
          isFound = isFound || next == byte
        }
        rest = rest.dropFirst()
      }
      return isFound != isInverted && reference(rest, key.dropFirst())
    }
    let rest = first == UInt8(ascii: "\\") && pattern.count >= 2 ? pattern.dropFirst() : pattern
    return rest.first == byte && reference(rest.dropFirst(), key.dropFirst())
  }
}
