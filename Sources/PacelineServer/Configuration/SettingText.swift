import LogStore
import Node

/// How the values of settings are written: sizes and times with units, yes and no, addresses. Pure; each function throws
/// what it expects instead, as the end of a sentence.
package enum SettingText {
  package struct Unreadable: Error, Equatable {
    package let expectation: String
    package init(_ expectation: String) { self.expectation = expectation }
  }

  /// A whole number, decimal, with an optional minus sign.
  package static func integer(_ text: String, _ range: ClosedRange<Int>) throws(Unreadable) -> Int {
    guard let value = plainInteger(text), range.contains(value) else {
      throw Unreadable("a whole number \(described(range))")
    }
    return value
  }

  /// Bytes, as Redis writes them: `100`, `100b`, `10k` (10,000), `10kb` (10,240), `m`, `mb`, `g`, `gb`; case does not matter.
  package static func bytes(_ text: String, _ range: ClosedRange<UInt64>) throws(Unreadable) -> UInt64 {
    let (digits, unit) = split(text)
    let scale: UInt64? =
      switch unit.lowercased() {
      case "", "b": 1
      case "k": 1000
      case "kb": 1 << 10
      case "m": 1_000_000
      case "mb": 1 << 20
      case "g": 1_000_000_000
      case "gb": 1 << 30
      default: nil
      }
    guard let scale, let count = UInt64(digits) else {
      throw Unreadable("a number of bytes such as 1048576, 512kb, 64mb or 2gb")
    }
    let (value, overflow) = count.multipliedReportingOverflow(by: scale)
    guard !overflow, range.contains(value) else {
      throw Unreadable("from \(byteText(range.lowerBound)) to \(byteText(range.upperBound))")
    }
    return value
  }

  /// The shortest text that `bytes` reads back as the same number.
  package static func byteText(_ value: UInt64) -> String {
    for (unit, shift) in [("gb", 30), ("mb", 20), ("kb", 10)] where value != 0 && value % (1 << UInt64(shift)) == 0 {
      return "\(value >> UInt64(shift))\(unit)"
    }
    return String(value)
  }

  /// A time such as `500ms`, `30s`, `10m`, `24h` or `7d`, in milliseconds. A number alone counts `unit`s.
  package static func milliseconds(
    _ text: String, unit: TimeUnit, _ range: ClosedRange<UInt64>
  ) throws(Unreadable) -> UInt64 {
    let (digits, suffix) = split(text)
    let given = suffix.isEmpty ? unit : TimeUnit(rawValue: suffix.lowercased())
    guard let given, let count = UInt64(digits) else {
      throw Unreadable("a time such as 500ms, 30s, 10m, 24h or 7d; a number alone means \(unit.plural)")
    }
    let (value, overflow) = count.multipliedReportingOverflow(by: given.milliseconds)
    guard !overflow, range.contains(value) else {
      throw Unreadable("from \(timeText(range.lowerBound)) to \(timeText(range.upperBound))")
    }
    guard value % unit.milliseconds == 0 else { throw Unreadable("whole \(unit.plural)") }
    return value
  }

  /// The shortest text that `milliseconds` reads back as the same time.
  package static func timeText(_ milliseconds: UInt64) -> String {
    guard milliseconds > 0 else { return "0s" }
    for unit in TimeUnit.allCases.reversed() where milliseconds % unit.milliseconds == 0 {
      return "\(milliseconds / unit.milliseconds)\(unit.rawValue)"
    }
    return "\(milliseconds)ms"
  }

  package enum TimeUnit: String, CaseIterable, Sendable {
    case millisecond = "ms"
    case second = "s"
    case minute = "m"
    case hour = "h"
    case day = "d"

    package var milliseconds: UInt64 {
      switch self {
      case .millisecond: 1
      case .second: 1000
      case .minute: 60_000
      case .hour: 3_600_000
      case .day: 86_400_000
      }
    }
    package var plural: String {
      switch self {
      case .millisecond: "milliseconds"
      case .second: "seconds"
      case .minute: "minutes"
      case .hour: "hours"
      case .day: "days"
      }
    }
  }

  /// `yes` or `no`; also true, false, on, off, 1 and 0, which is what people write into environment variables.
  package static func yesNo(_ text: String) throws(Unreadable) -> Bool {
    switch text.lowercased() {
    case "yes", "true", "on", "1": true
    case "no", "false", "off", "0": false
    default: throw Unreadable("yes or no")
    }
  }

  /// A host name, IPv4 or IPv6 address without brackets.
  package static func host(_ text: String) throws(Unreadable) -> String {
    guard !text.isEmpty, text.utf8.allSatisfy({ isHostByte($0) }) else {
      throw Unreadable("one IP address or host name")
    }
    return text
  }

  /// `HOST:PORT` or `[IPv6]:PORT`, or without the port.
  package static func address(_ text: String) throws(Unreadable) -> (host: String, port: Int?) {
    let expected = Unreadable("HOST:PORT, such as 10.0.0.5:7400 or [::1]:7400, with a port from 1 to 65535")
    let host: Substring
    let rest: Substring
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { throw expected }
      host = text[text.index(after: text.startIndex)..<close]
      rest = text[text.index(after: close)...]
    } else {
      let colon = text.firstIndex(of: ":") ?? text.endIndex
      host = text[..<colon]
      rest = text[colon...]
    }
    guard !host.isEmpty, host.utf8.allSatisfy({ isHostByte($0) }) else { throw expected }
    guard !rest.isEmpty else { return (String(host), nil) }
    guard rest.hasPrefix(":"), let port = plainInteger(String(rest.dropFirst())), (1...65535).contains(port) else {
      throw expected
    }
    return (String(host), port)
  }

  /// Addresses with commas between them; blanks do not count.
  package static func addresses(_ text: String) throws(Unreadable) -> [(host: String, port: Int?)] {
    guard text.contains(where: { $0 != " " }) else { return [] }
    var found: [(host: String, port: Int?)] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard found.count < addressesMax else { throw Unreadable("at most \(addressesMax) addresses") }
      found.append(try address(String(part.filter { $0 != " " })))
    }
    return found
  }
  private static let addressesMax = 64

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
      UInt8(ascii: ":"), UInt8(ascii: "%"):
      true
    default: false
    }
  }

  /// Numbers from 0 to 100 with blanks between them; there may be none.
  static func percentages(_ text: String) throws(Unreadable) -> [Double] {
    var found: [Double] = []
    for part in text.split(separator: " ") {
      guard let value = Double(part), (0...100).contains(value), found.count < 32 else {
        throw Unreadable("numbers from 0 to 100 with blanks between them")
      }
      found.append(value)
    }
    return found
  }

  /// `50`, `99.9`.
  static func numberText(_ value: Double) -> String {
    value == value.rounded() && value.magnitude < 1e15 ? String(Int(value)) : String(value)
  }

  /// Without the plus sign that Swift's own parser takes.
  private static func plainInteger(_ text: String) -> Int? { text.hasPrefix("+") ? nil : Int(text) }

  private static func split(_ text: String) -> (digits: Substring, unit: Substring) {
    let end = text.firstIndex { !("0"..."9").contains($0) } ?? text.endIndex
    return (text[..<end], text[end...])
  }

  static func described(_ range: ClosedRange<Int>) -> String {
    range.upperBound == Int.max ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
  }

  static func commit(_ text: String) throws(Unreadable) -> CommitSetting {
    let word = text.lowercased()
    if word == "async" { return CommitSetting(level: .async) }
    if word == "quorum" { return CommitSetting(level: .quorum) }
    guard word.hasPrefix("fullsync:"), let slaves = Int(word.dropFirst(9)), (1...64).contains(slaves) else {
      throw Unreadable("async, fullsync:n with n from 1 to 64, or quorum")
    }
    return CommitSetting(level: .fullsync, slaves: slaves)
  }
}
