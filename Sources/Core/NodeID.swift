/// The identity of a data directory: 160 random bits, shown as 40 hex digits (the shape of a Redis run id).
/// Made once, kept with the data, so that a copied directory is recognised as the same node.
public struct NodeID: Hashable, Sendable, CustomStringConvertible, Comparable {
  public static let byteCount = 20
  public var bytes: [UInt8]

  /// No node's: the bytes of real ones are random. Smaller than every other.
  public static let unknown = NodeID(random: [UInt8](repeating: 0, count: byteCount))
  /// No node's either: stands for an unknown one where too large is right and too small is not.
  public static let largest = NodeID(random: [UInt8](repeating: 0xFF, count: byteCount))

  /// - Parameter random: 20 random bytes, from the shell's generator.
  public init(random: [UInt8]) {
    precondition(random.count == NodeID.byteCount, "a node id has \(NodeID.byteCount) bytes, not \(random.count)")
    bytes = random
  }

  /// Reads 40 hex digits; nil for anything else.
  public init?(hex: some StringProtocol) {
    let digits = Array(hex.utf8)
    guard digits.count == NodeID.byteCount * 2 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(NodeID.byteCount)
    for i in stride(from: 0, to: digits.count, by: 2) {
      guard let high = Self.nibble(digits[i]), let low = Self.nibble(digits[i + 1]) else { return nil }
      out.append(high << 4 | low)
    }
    bytes = out
  }

  private static func nibble(_ c: UInt8) -> UInt8? {
    switch c {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): c - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): c - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): c - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  public var description: String {
    var text = ""
    for byte in bytes {
      text.append(Self.digits[Int(byte >> 4)])
      text.append(Self.digits[Int(byte & 15)])
    }
    return text
  }
  private static let digits: [Character] = Array("0123456789abcdef")

  public static func < (a: NodeID, b: NodeID) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}
