// Raw memory: reads received bytes in place. Every index is below the buffer's count by the loop's condition.

/// Finds where one whole reply of RESP2 or RESP3 ends, however its bytes are cut. Builds no values and keeps no bytes.
///
/// Owned by one connection to a master, used on its event loop. Bounded: the depth of nested replies, and 8 bytes for
/// each open one.
struct ForwardReplyScanner {
  /// The bytes are no reply; the connection cannot be used any more.
  struct Malformed: Error, Equatable {}

  static let depthMax = 32
  /// No length or count has more digits.
  private static let digitsMax = 12

  private enum Shape { case bulk, list, map, attribute }
  private enum State {
    /// Before the first byte of an element.
    case type
    /// In a line whose bytes decide nothing.
    case line
    case length(Shape, value: Int, isNegative: Bool, digits: Int)
    /// The bytes of a bulk and its line end still to come.
    case body(remaining: Int)
  }
  private var state = State.type
  /// Elements still to come of every open list or map, the outermost first.
  private var open: [Int] = []

  /// Goes on in the present reply.
  ///
  /// - Returns: how many of `bytes` belong to it if it ends among them; nil if all of them do and it goes on.
  /// - Complexity: O(bytes outside of bulks).
  mutating func scan(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> Int? {
    var i = 0
    while i < bytes.count {
      let byte = bytes[i]
      switch state {
      case .type:
        state = try Self.begin(byte)
        i += 1
      case .line:
        i += 1
        if byte == UInt8(ascii: "\n"), ended() { return i }
      case .length(let shape, let value, let isNegative, let digits):
        i += 1
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
          guard digits < Self.digitsMax else { throw Malformed() }
          state = .length(
            shape, value: value * 10 + Int(byte - UInt8(ascii: "0")), isNegative: isNegative, digits: digits + 1)
        case UInt8(ascii: "-") where digits == 0 && !isNegative:
          state = .length(shape, value: 0, isNegative: true, digits: 0)
        case UInt8(ascii: "\r") where digits > 0: break
        case UInt8(ascii: "\n") where digits > 0:
          if try has(shape, isNegative ? -1 : value) { return i }
        default: throw Malformed()
        }
      case .body(let remaining):
        let here = min(remaining, bytes.count - i)
        i += here
        if here < remaining {
          state = .body(remaining: remaining - here)
        } else if ended() {
          return i
        }
      }
    }
    return nil
  }

  private static func begin(_ type: UInt8) throws(Malformed) -> State {
    switch type {
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "#"),
      UInt8(ascii: ","), UInt8(ascii: "("):
      .line
    case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
      .length(.bulk, value: 0, isNegative: false, digits: 0)
    case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"):
      .length(.list, value: 0, isNegative: false, digits: 0)
    case UInt8(ascii: "%"): .length(.map, value: 0, isNegative: false, digits: 0)
    case UInt8(ascii: "|"): .length(.attribute, value: 0, isNegative: false, digits: 0)
    default: throw Malformed()
    }
  }

  /// A length or a count is known; negative for a null. True if the whole reply ended with it.
  private mutating func has(_ shape: Shape, _ count: Int) throws(Malformed) -> Bool {
    let elements: Int
    switch shape {
    case .bulk:
      guard count >= 0 else { return ended() }
      state = .body(remaining: count + 2)
      return false
    case .list: elements = count
    case .map: elements = count * 2
    // Its pairs, and then the reply that it tells something about.
    case .attribute: elements = max(0, count) * 2 + 1
    }
    guard elements > 0 else { return ended() }
    guard open.count < Self.depthMax else { throw Malformed() }
    open.append(elements)
    state = .type
    return false
  }

  /// An element is complete. True if the whole reply is.
  private mutating func ended() -> Bool {
    state = .type
    while let left = open.last {
      if left > 1 {
        open[open.count - 1] = left - 1
        return false
      }
      open.removeLast()
    }
    return true
  }
}
