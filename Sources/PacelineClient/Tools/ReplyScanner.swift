// Raw memory: reads received bytes in place. Every index is checked against the buffer's count by the loops' conditions.

/// Tells apart and counts the replies of simple commands without building values: the reading half of the load generator.
///
/// Understands status lines, errors, integers, nulls and bulk strings; anything else is `malformed`. Keeps its place when
/// a reply is cut anywhere. Owned by one connection, used on its event loop; no allocation.
package struct ReplyScanner: Sendable {
  package enum Reply: Equatable, Sendable {
    /// A status line or a number: a write was done.
    case done
    /// A bulk string: the key is there.
    case hit
    /// A null: the key is not there.
    case miss
    case error
    /// An error with the code `READONLY`: this node is no master.
    case readOnly
  }

  /// The bytes are not such replies; the connection cannot be used any more.
  package struct Malformed: Error, Equatable {}

  private enum State: Equatable {
    case start
    /// In a line whose bytes decide nothing more, or, for an error, in its first word.
    case line(Reply, readOnlyMatched: Int)
    case bulkLength(Int, negative: Bool, digits: Int)
    /// The bytes of a bulk and its line end still to come.
    case body(remaining: Int)
  }
  private var state = State.start
  private static let readOnlyCode = Array("READONLY".utf8)

  package init() {}

  /// Goes through `bytes` and calls `body` for each reply that ends in them, in order. O(bytes outside of bulks).
  @inline(__always)
  package mutating func scan(_ bytes: UnsafeRawBufferPointer, _ body: (Reply) -> Void) throws(Malformed) {
    var i = 0
    while i < bytes.count {
      switch state {
      case .start:
        state = try Self.begin(bytes[i])
        i += 1
      case .line(let reply, let matched):
        let byte = bytes[i]
        i += 1
        if byte == UInt8(ascii: "\n") {
          state = .start
          body(reply == .error && matched == Self.readOnlyCode.count ? .readOnly : reply)
        } else if reply == .error {
          let goesOn = matched >= 0 && matched < Self.readOnlyCode.count
          if goesOn { state = .line(reply, readOnlyMatched: byte == Self.readOnlyCode[matched] ? matched + 1 : -1) }
        }
      case .bulkLength(let length, let negative, let digits):
        let byte = bytes[i]
        i += 1
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
          guard digits < 10 else { throw Malformed() }
          state = .bulkLength(length * 10 + Int(byte - UInt8(ascii: "0")), negative: negative, digits: digits + 1)
        case UInt8(ascii: "-") where digits == 0: state = .bulkLength(0, negative: true, digits: 0)
        case UInt8(ascii: "\r") where digits > 0: break
        case UInt8(ascii: "\n") where digits > 0:
          if negative {
            state = .start
            body(.miss)
          } else {
            state = .body(remaining: length + 2)
          }
        default: throw Malformed()
        }
      case .body(let remaining):
        let here = min(remaining, bytes.count - i)
        i += here
        if here == remaining {
          state = .start
          body(.hit)
        } else {
          state = .body(remaining: remaining - here)
        }
      }
    }
  }

  private static func begin(_ type: UInt8) throws(Malformed) -> State {
    switch type {
    case UInt8(ascii: "+"), UInt8(ascii: ":"): .line(.done, readOnlyMatched: -1)
    case UInt8(ascii: "-"): .line(.error, readOnlyMatched: 0)
    case UInt8(ascii: "_"): .line(.miss, readOnlyMatched: -1)
    case UInt8(ascii: "$"): .bulkLength(0, negative: false, digits: 0)
    default: throw Malformed()
    }
  }
}
