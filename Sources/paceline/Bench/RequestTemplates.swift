// Raw memory: copies prepared requests into a buffer and overwrites the key's digits. The digits' place was computed
// from the same bytes that are copied, and a key has at most `keyDigits` digits because key counts are limited to that.

import NIOCore
import PacelineClient
import RESP

/// Requests encoded once; to send one means to copy it and to write its key's number into it.
struct RequestTemplates: Sendable {
  static let keyDigits = 12
  private static let keyPrefix = "key:"
  /// Different values, so that a server that compresses does not find a million copies of one.
  private static let valuesBytesMax = 4 << 20
  private static let valuesMax = 16

  private let get: [UInt8]
  private let sets: [[UInt8]]
  private let digitsOffsetInGet: Int
  private let digitsOffsetInSet: Int

  /// - Parameter valueBytes: 0 or more.
  init(valueBytes: Int, seed: UInt64) {
    let zero = Array((Self.keyPrefix + String(repeating: "0", count: Self.keyDigits)).utf8)
    var random = SplitMix64(seed: seed)
    let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/".utf8)
    let count = min(Self.valuesMax, max(1, Self.valuesBytesMax / max(1, valueBytes)))
    get = Self.encode([Array("GET".utf8), zero])
    sets = (0..<count).map { _ in
      let value = (0..<valueBytes).map { _ in letters[Int(random.next() & 63)] }
      return Self.encode([Array("SET".utf8), zero, value])
    }
    digitsOffsetInGet = get.count - Self.keyDigits - 2
    // Behind the key come its line end and the value as it is in the shortest request with one.
    digitsOffsetInSet = Self.encode([Array("SET".utf8), zero]).count - Self.keyDigits - 2
  }

  private static func encode(_ arguments: [[UInt8]]) -> [UInt8] {
    var buffer = RequestBuffer()
    buffer.command(arguments)
    return Array(buffer.bytes)
  }

  @inline(__always) func appendGet(key: UInt64, to buffer: inout ByteBuffer) {
    Self.append(get, digitsOffset: digitsOffsetInGet, key, &buffer)
  }

  /// - Parameter choice: any number; picks one of the prepared values.
  @inline(__always) func appendSet(key: UInt64, choice: UInt64, to buffer: inout ByteBuffer) {
    Self.append(sets[Int(choice % UInt64(sets.count))], digitsOffset: digitsOffsetInSet, key, &buffer)
  }

  @inline(__always)
  private static func append(_ template: [UInt8], digitsOffset: Int, _ key: UInt64, _ buffer: inout ByteBuffer) {
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: template.count) { target in
      template.withUnsafeBytes { target.copyMemory(from: $0) }
      var rest = key
      var place = digitsOffset + keyDigits
      while rest > 0 {
        place -= 1
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
        target[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
        rest = quotient
      }
      return template.count
    }
  }
}
