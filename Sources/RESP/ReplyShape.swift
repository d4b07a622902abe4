// Raw memory: walks over replies where they lie.

/// Whether bytes are whole replies: every announced aggregate filled exactly, nested ones too, and no type that the
/// protocol does not have. What a client would make of them, without keeping anything.
///
/// A reply with one element too few or too many shifts every later reply of its connection by one; so debug and test builds
/// look at each reply before it may leave.
public enum ReplyShape {
  public enum Fault: Equatable, Sendable {
    /// An aggregate, or a length, announces more than there is.
    case incomplete
    /// So many bytes follow behind the replies that were looked for.
    case tooMuch(bytes: Int)
    /// No reply, or none of this protocol, begins with this byte.
    case badType(UInt8)
    /// A count or length that is no number, or line ends that are not where they belong.
    case malformed
  }

  /// nil if `bytes` are exactly `count` replies in protocol version 2 or 3.
  ///
  /// Cost: O(elements). Nesting is not limited: the bytes are this server's own.
  public static func fault(in bytes: UnsafeRawBufferPointer, count: Int = 1, protocolVersion: UInt8) -> Fault? {
    var walk = Walk(bytes: bytes, isResp3: protocolVersion >= 3)
    do throws(Unfit) {
      for _ in 0..<count { try walk.value() }
    } catch {
      return error.fault
    }
    return walk.at == bytes.count ? nil : .tooMuch(bytes: bytes.count - walk.at)
  }

  private struct Unfit: Error { let fault: Fault }

  private struct Walk {
    let bytes: UnsafeRawBufferPointer
    let isResp3: Bool
    var at = 0

    mutating func value() throws(Unfit) {
      guard at < bytes.count else { throw Unfit(fault: .incomplete) }
      let kind = bytes[at]
      at += 1
      switch kind {
      case UInt8(ascii: "+"), UInt8(ascii: "-"): _ = try line()
      case UInt8(ascii: ":"): if parseInteger(try line()) == nil { throw Unfit(fault: .malformed) }
      case UInt8(ascii: "$"): try text(mayBeNull: !isResp3)
      case UInt8(ascii: "*"):
        let elements = try number()
        // Redis answers `*-1` in RESP2 only.
        if elements < 0, isResp3 || elements < -1 { throw Unfit(fault: .malformed) }
        for _ in 0..<max(0, elements) { try value() }
      case _ where !isResp3: throw Unfit(fault: .badType(kind))
      case UInt8(ascii: "="), UInt8(ascii: "!"): try text(mayBeNull: false)
      case UInt8(ascii: "_"): if !(try line()).isEmpty { throw Unfit(fault: .malformed) }
      case UInt8(ascii: "#"), UInt8(ascii: ","), UInt8(ascii: "("):
        if (try line()).isEmpty { throw Unfit(fault: .malformed) }
      case UInt8(ascii: "~"), UInt8(ascii: ">"):
        for _ in 0..<(try count()) { try value() }
      case UInt8(ascii: "%"):
        for _ in 0..<(try count()) {
          try value()
          try value()
        }
      case UInt8(ascii: "|"):
        for _ in 0..<(try count()) {
          try value()
          try value()
        }
        try value()
      default: throw Unfit(fault: .badType(kind))
      }
    }

    private mutating func line() throws(Unfit) -> UnsafeRawBufferPointer {
      var end = at
      while end < bytes.count, bytes[end] != 0x0D, bytes[end] != 0x0A { end += 1 }
      guard end < bytes.count else { throw Unfit(fault: .incomplete) }
      guard bytes[end] == 0x0D, end + 1 < bytes.count, bytes[end + 1] == 0x0A else { throw Unfit(fault: .malformed) }
      defer { at = end + 2 }
      return UnsafeRawBufferPointer(rebasing: bytes[at..<end])
    }

    private mutating func number() throws(Unfit) -> Int {
      guard let number = parseInteger(try line()).flatMap({ Int(exactly: $0) }) else { throw Unfit(fault: .malformed) }
      return number
    }

    private mutating func count() throws(Unfit) -> Int {
      let number = try number()
      guard number >= 0 else { throw Unfit(fault: .malformed) }
      return number
    }

    private mutating func text(mayBeNull: Bool) throws(Unfit) {
      let length = try number()
      if length == -1, mayBeNull { return }
      guard length >= 0 else { throw Unfit(fault: .malformed) }
      guard length <= bytes.count - at - 2 else { throw Unfit(fault: .incomplete) }
      at += length
      guard bytes[at] == 0x0D, bytes[at + 1] == 0x0A else { throw Unfit(fault: .malformed) }
      at += 2
    }
  }
}

extension ReplyBuffer {
  /// In debug and test builds: traps unless what was written since the buffer held `begin` bytes is exactly `count` replies,
  /// or nothing at all.
  @inline(__always)
  public func checkReply(from begin: Int, count: Int = 1, of name: @autoclosure () -> String) {
    #if DEBUG || PACELINE_PLANTED_BUGS
      guard self.count > begin else { return }
      let written = UnsafeRawBufferPointer(rebasing: bytes[begin...])
      if let fault = ReplyShape.fault(in: written, count: count, protocolVersion: protocolVersion) {
        let shown = String(decoding: written.prefix(200), as: UTF8.self)
        preconditionFailure("the reply of \(name()) in RESP\(protocolVersion) is not one reply: \(fault), '\(shown)'")
      }
    #endif
  }
}
