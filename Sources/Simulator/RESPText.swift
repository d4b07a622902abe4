/// The client's side of RESP, as far as a simulated client needs it.
enum RESPText {
  indirect enum Reply: Equatable {
    case status(String)
    case error(String)
    case integer(Int)
    case bulk(String?)
    case array([Reply])
  }

  static func encode(_ commands: [[String]]) -> [UInt8] {
    var out: [UInt8] = []
    for words in commands {
      out += Array("*\(words.count)\r\n".utf8)
      for word in words { out += Array("$\(word.utf8.count)\r\n\(word)\r\n".utf8) }
    }
    return out
  }

  /// The reply that begins at `at` and the place behind it; nil while bytes are missing.
  static func reply(_ bytes: [UInt8], _ at: Int) -> (Reply, next: Int)? {
    guard at < bytes.count, let end = bytes[at...].firstIndex(of: 13), end + 1 < bytes.count else { return nil }
    let text = String(decoding: bytes[at + 1..<end], as: UTF8.self)
    let next = end + 2
    switch bytes[at] {
    case UInt8(ascii: "+"): return (.status(text), next)
    case UInt8(ascii: ":"): return (.integer(Int(text) ?? 0), next)
    case UInt8(ascii: "$"):
      guard let count = Int(text), count >= 0 else { return (.bulk(nil), next) }
      guard bytes.count >= next + count + 2 else { return nil }
      return (.bulk(String(decoding: bytes[next..<next + count], as: UTF8.self)), next + count + 2)
    case UInt8(ascii: "*"):
      var parts: [Reply] = []
      var place = next
      for _ in 0..<max(0, Int(text) ?? 0) {
        guard let (part, after) = reply(bytes, place) else { return nil }
        parts.append(part)
        place = after
      }
      return (.array(parts), place)
    default: return (.error(text), next)
    }
  }
}
