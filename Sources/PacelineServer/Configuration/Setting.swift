/// One setting: its name and help, and how its text becomes part of a `ServerConfiguration` and back.
///
/// The name is the flag's (`--sync-rate`), the configuration file's (`sync-rate 100mb`) and, in upper case after
/// `PACELINE_`, the environment's. Invariant: `write` takes what `read` gives, and then changes nothing.
package struct Setting: Sendable {
  package let name: String
  /// What stands for the value in the help: a unit or the choices.
  package let valueName: String
  package let help: String
  /// A password: its value is never shown, in help, error or log.
  package let isSecret: Bool
  /// Given as a flag it takes no value and means yes.
  package let isSwitch: Bool
  /// The present value; empty if there is none.
  package let read: @Sendable (ServerConfiguration) -> String
  private let parse: @Sendable (inout ServerConfiguration, String) throws(SettingText.Unreadable) -> Void

  init(
    _ name: String, _ valueName: String, isSecret: Bool = false, isSwitch: Bool = false, help: String,
    read: @escaping @Sendable (ServerConfiguration) -> String,
    parse: @escaping @Sendable (inout ServerConfiguration, String) throws(SettingText.Unreadable) -> Void
  ) {
    self.name = name
    self.valueName = valueName
    self.help = help
    self.isSecret = isSecret
    self.isSwitch = isSwitch
    self.read = read
    self.parse = parse
  }

  /// - Throws: what is wrong with the text, naming the setting and the source. The configuration is unchanged then.
  package func write(
    _ text: String, to configuration: inout ServerConfiguration, from source: SettingSource
  ) throws(SettingError) {
    do throws(SettingText.Unreadable) {
      try parse(&configuration, text)
    } catch {
      let shown = isSecret ? "that" : "'\(Self.shown(text))'"
      throw SettingError(source: source, name: name, reason: "must be \(error.expectation), not \(shown)")
    }
  }

  package var environmentName: String { Self.environmentName(name) }
  package static func environmentName(_ name: String) -> String {
    "PACELINE_" + String(name.map { $0 == "-" ? "_" : $0 }).uppercased()
  }

  /// The value without any setting, as the help shows it.
  package var defaultText: String { read(ServerConfiguration()) }

  /// The text without what a terminal would obey, and not for ever.
  static func shown(_ text: String) -> String {
    let harmless = text.unicodeScalars.prefix(80).map {
      $0.properties.generalCategory == .control ? "?" : Character($0)
    }
    return String(harmless) + (text.unicodeScalars.count > 80 ? "..." : "")
  }

  package static func named(_ name: String) -> Setting? { byName[name] }
  private static let byName = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  /// The setting whose name is at most two typing errors away.
  static func closest(to name: String) -> Setting? {
    let distances = all.map { (setting: $0, distance: editDistance(Array(name.utf8.prefix(64)), Array($0.name.utf8))) }
    return distances.filter { $0.distance <= 2 }.min { $0.distance < $1.distance }?.setting
  }

  /// Levenshtein's distance.
  private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for i in a.indices {
      var diagonal = row[0]
      row[0] = i + 1
      for j in b.indices {
        let changed = diagonal + (a[i] == b[j] ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(changed, diagonal + 1, row[j] + 1)
      }
    }
    return row[b.count]
  }
}

// The kinds of settings.
extension Setting {
  typealias Path<Value> = WritableKeyPath<ServerConfiguration, Value> & Sendable

  static func integer(_ name: String, _ valueName: String, _ path: Path<Int>, _ range: ClosedRange<Int>, _ help: String)
    -> Setting
  {
    Setting(
      name, valueName, help: help, read: { String($0[keyPath: path]) },
      parse: { configuration, text throws(SettingText.Unreadable) in
        configuration[keyPath: path] = try SettingText.integer(text, range)
      })
  }

  static func bytes<Count: FixedWidthInteger & SendableMetatype>(
    _ name: String, _ path: Path<Count>, _ range: ClosedRange<UInt64>, multipleOf factor: UInt64 = 1, _ help: String
  ) -> Setting {
    Setting(
      name, "bytes", help: help, read: { SettingText.byteText(UInt64(clamping: $0[keyPath: path])) },
      parse: { configuration, text throws(SettingText.Unreadable) in
        let value = try SettingText.bytes(text, range)
        guard value % factor == 0 else { throw SettingText.Unreadable("a multiple of \(factor)") }
        configuration[keyPath: path] = Count(clamping: value)
      })
  }

  static func time(
    _ name: String, _ path: Path<Int>, _ range: ClosedRange<UInt64>, unit: SettingText.TimeUnit, _ help: String
  ) -> Setting {
    Setting(
      name, "time", help: "\(help) A number alone means \(unit.plural).",
      read: { SettingText.timeText(UInt64(clamping: $0[keyPath: path]) * unit.milliseconds) },
      parse: { configuration, text throws(SettingText.Unreadable) in
        let milliseconds = try SettingText.milliseconds(text, unit: unit, range)
        configuration[keyPath: path] = Int(milliseconds / unit.milliseconds)
      })
  }

  static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
    _ name: String, _ path: Path<Choice>, aliases: [String: Choice] = [:], _ help: String
  ) -> Setting where Choice.RawValue == String {
    let choices = Choice.allCases.map(\.rawValue)
    return Setting(
      name, choices.joined(separator: "|"), help: help, read: { $0[keyPath: path].rawValue },
      parse: { configuration, text throws(SettingText.Unreadable) in
        guard let choice = Choice(rawValue: text.lowercased()) ?? aliases[text.lowercased()] else {
          throw SettingText.Unreadable("one of \(choices.joined(separator: ", "))")
        }
        configuration[keyPath: path] = choice
      })
  }

  static func yesNo(_ name: String, _ path: Path<Bool>, isSwitch: Bool = false, _ help: String) -> Setting {
    Setting(
      name, "yes|no", isSwitch: isSwitch, help: help, read: { $0[keyPath: path] ? "yes" : "no" },
      parse: { configuration, text throws(SettingText.Unreadable) in
        configuration[keyPath: path] = try SettingText.yesNo(text)
      })
  }

  /// Text of which empty means none.
  static func optionalText(
    _ name: String, _ valueName: String, _ path: Path<String?>, isSecret: Bool = false, _ help: String
  ) -> Setting {
    Setting(
      name, valueName, isSecret: isSecret, help: help, read: { $0[keyPath: path] ?? "" },
      parse: { configuration, text throws(SettingText.Unreadable) in
        guard text.utf8.count <= 4096 else { throw SettingText.Unreadable("at most 4096 bytes") }
        configuration[keyPath: path] = text.isEmpty ? nil : text
      })
  }
}
