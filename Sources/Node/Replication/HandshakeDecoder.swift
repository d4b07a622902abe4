/// Replies of a master before its connection turns to frames: a status, an error, or an array of bulk strings.
/// Bounded: what is announced is checked before it is waited for.
package struct HandshakeDecoder {
  package enum Reply: Equatable {
    case status(String)
    case error(String)
    case elements([String])
  }
  package struct Malformed: Error, CustomStringConvertible { package let description: String }

  static let elementsMax = 256
  static let elementBytesMax = 4 << 20
  static let lineBytesMax = 64 << 10

  /// The first reply in `bytes` and how long it is; nil while bytes are missing.
  package static func next(_ bytes: [UInt8]) throws(Malformed) -> (reply: Reply, consumed: Int)? {
    guard let (line, start) = try line(bytes, from: 0) else { return nil }
    guard let first = line.first else { throw Malformed(description: "an empty line instead of a reply") }
    let text = String(decoding: line.dropFirst(), as: UTF8.self)
    switch first {
    case UInt8(ascii: "+"): return (.status(text), start)
    case UInt8(ascii: "-"): return (.error(text), start)
    case UInt8(ascii: "*"):
      guard let count = Int(text), count >= 0, count <= elementsMax else {
        throw Malformed(description: "an array of '\(text.prefix(32))' elements")
      }
      var elements: [String] = []
      var at = start
      for _ in 0..<count {
        guard let (head, body) = try Self.line(bytes, from: at) else { return nil }
        guard head.first == UInt8(ascii: "$"), let length = Int(String(decoding: head.dropFirst(), as: UTF8.self)),
          length >= 0, length <= elementBytesMax
        else { throw Malformed(description: "not a bulk string in a reply") }
        guard bytes.count >= body + length + 2 else { return nil }
        elements.append(String(decoding: bytes[body..<body + length], as: UTF8.self))
        at = body + length + 2
      }
      return (.elements(elements), at)
    default: throw Malformed(description: "a reply that begins with byte \(first)")
    }
  }

  private static func line(_ bytes: [UInt8], from: Int) throws(Malformed) -> (ArraySlice<UInt8>, Int)? {
    guard let end = bytes[from...].firstIndex(of: 13) else {
      if bytes.count - from > lineBytesMax { throw Malformed(description: "a line of more than \(lineBytesMax) bytes") }
      return nil
    }
    guard end + 1 < bytes.count else { return nil }
    guard bytes[end + 1] == 10 else { throw Malformed(description: "a line that ends in CR without LF") }
    return (bytes[from..<end], end + 2)
  }

  package static func encode(_ arguments: [String]) -> [UInt8] {
    var out = Array("*\(arguments.count)\r\n".utf8)
    for argument in arguments {
      out.append(contentsOf: "$\(argument.utf8.count)\r\n".utf8)
      out.append(contentsOf: argument.utf8)
      out.append(contentsOf: [13, 10])
    }
    return out
  }
}
