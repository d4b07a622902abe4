import Logging
import PacelineClient
import PacelineServer
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One log line, as text or JSON. Pure.
///
///     2026-11-21T01:37:42.123Z info    replication slave registered slave.id=4f2a slave.lag=0
///     {"time":"2026-11-21T01:37:42.123Z","level":"info","source":"replication","message":"slave registered","slave.id":"4f2a"}
///
/// Keys are sorted. Whatever a value holds, it stays on its line and between its quotes.
package enum LogFormat {
  package static func line(
    _ format: ServerConfiguration.LogFormatSetting, milliseconds: Int64, level: Logger.Level, source: String,
    message: String, metadata: Logger.Metadata
  ) -> String {
    let pairs = metadata.sorted { $0.key < $1.key }.map { (key: $0.key, value: "\($0.value)") }
    switch format {
    case .text:
      let padded = level.rawValue + String(repeating: " ", count: max(0, 8 - level.rawValue.count))
      let fields = pairs.map {
        " \(bare($0.key) ? $0.key : escaped($0.key))=\(bare($0.value) ? $0.value : escaped($0.value))"
      }
      return "\(timestamp(milliseconds)) \(padded)\(source) \(oneLine(message))\(fields.joined())\n"
    case .json:
      let fixed = [
        ("time", timestamp(milliseconds)), ("level", level.rawValue), ("source", source), ("message", message),
      ]
      let fields = fixed + pairs.map { ($0.key, $0.value) }
      return "{" + fields.map { "\(escaped($0.0)):\(escaped($0.1))" }.joined(separator: ",") + "}\n"
    }
  }

  /// What a line calls the logger: `paceline.replication` is `replication`.
  package static func source(ofLabel label: String) -> String {
    label == "paceline" ? "server" : label.hasPrefix("paceline.") ? String(label.dropFirst(9)) : label
  }

  /// UTC, ISO 8601, of milliseconds since 1970. Howard Hinnant's `civil_from_days`.
  package static func timestamp(_ milliseconds: Int64) -> String {
    let (days, inDay) = floorDivide(milliseconds, 86_400_000)
    let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let date = "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))"
    let time = "\(digits(inDay / 3_600_000, 2)):\(digits(inDay / 60_000 % 60, 2)):\(digits(inDay / 1000 % 60, 2))"
    return "\(date)T\(time).\(digits(inDay % 1000, 3))Z"
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
    return remainder < 0 ? (quotient - 1, remainder + b) : (quotient, remainder)
  }

  private static func digits(_ value: Int64, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }

  private static func bare(_ text: String) -> Bool {
    !text.isEmpty
      && text.unicodeScalars.allSatisfy {
        !$0.properties.isWhitespace && $0.properties.generalCategory != .control && $0 != "\"" && $0 != "="
      }
  }

  private static func oneLine(_ text: String) -> String {
    text.unicodeScalars.contains { $0.properties.generalCategory == .control } ? escaped(text) : text
  }

  /// A JSON string.
  private static func escaped(_ text: String) -> String { JSONText.string(text).description }
}

/// Writes log lines to standard output, each with one call, so that lines of several threads do not mix.
struct LineLogHandler: LogHandler {
  let source: String
  let format: ServerConfiguration.LogFormatSetting
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?
  /// Of the whole process, so that CONFIG SET reaches every logger.
  var logLevel: Logger.Level {
    get { LogLevelSwitch.level }
    set {}
  }

  init(label: String, format: ServerConfiguration.LogFormatSetting) {
    source = LogFormat.source(ofLabel: label)
    self.format = format
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var all = metadata
    if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
    if let given = event.metadata { all.merge(given) { _, new in new } }
    if let error = event.error { all["error"] = "\(error)" }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let milliseconds = Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    let line = LogFormat.line(
      format, milliseconds: milliseconds, level: event.level, source: source, message: "\(event.message)",
      metadata: all)
    Self.output.withLock { _ in Terminal.write(line) }
  }

  private static let output = Mutex<Void>(())
}
