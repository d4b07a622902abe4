#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Numbers as people read them in a terminal.
package enum HumanText {
  /// `1234.5678` with 2 digits is `1234.57`. What has no such form (infinite, not a number, beyond 10^18) is `-`.
  package static func decimal(_ value: Double, digits: Int) -> String {
    let scale = pow(10, Double(digits))
    guard abs(value) * scale < 1e18 else { return digits > 0 ? decimal(value, digits: 0) : "-" }  // Also not a number.
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return sign + String(scaled) }
    let fraction = String(scaled % Int64(scale))
    return "\(sign)\(scaled / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
  }

  /// `1234567` is `1,234,567`.
  package static func count(_ value: UInt64) -> String {
    let digits = String(value)
    var grouped = ""
    for (i, digit) in digits.enumerated() {
      if i > 0, (digits.count - i).isMultiple(of: 3) { grouped.append(",") }
      grouped.append(digit)
    }
    return grouped
  }

  /// `1536` is `1.5 KiB`.
  package static func bytes(_ value: UInt64) -> String {
    guard value >= 1024 else { return "\(value) B" }
    var scaled = Double(value)
    var unit = -1
    while scaled >= 1023.95, unit < 4 {
      scaled /= 1024
      unit += 1
    }
    return "\(decimal(scaled, digits: scaled < 100 ? 1 : 0)) \(["KiB", "MiB", "GiB", "TiB", "PiB"][unit])"
  }

  /// The text without characters that a terminal would take for commands (C0, DEL and C1): a server's words may be
  /// anybody's.
  package static func harmless(_ text: String) -> String {
    String(text.map { $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "?" : $0 })
  }

  /// Milliseconds in the unit that fits: `250 ms`, `2.5 s`, `3m 20s`, `1h 5m`, `2d 3h`.
  package static func milliseconds(_ value: UInt64) -> String {
    let seconds = value / 1000
    switch seconds {
    case 0: return "\(value) ms"
    case ..<60: return "\(decimal(Double(value) / 1000, digits: 1)) s"
    case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
    case ..<86400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
    default: return "\(seconds / 86400)d \(seconds / 3600 % 24)h"
    }
  }

  /// Nanoseconds as milliseconds with three digits: `0.051`.
  package static func millisecondsText(nanoseconds: UInt64) -> String { decimal(Double(nanoseconds) / 1e6, digits: 3) }

  /// A bar of `width` characters: `[####----]`. Without a total it is empty.
  package static func bar(done: UInt64, total: UInt64, width: Int) -> String {
    let share = total == 0 ? 0 : min(1, Double(done) / Double(total))
    let filled = Int(share * Double(width))
    return "[\(String(repeating: "#", count: filled))\(String(repeating: "-", count: width - filled))]"
  }
}
