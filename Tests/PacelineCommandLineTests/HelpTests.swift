import ArgumentParser
import PacelineServer
import Testing
import paceline

@Suite struct HelpTests {
  static let master = MasterCommand.helpMessage(columns: 80)
  static let slave = SlaveCommand.helpMessage(columns: 80)

  /// The flags that begin a line of the help.
  private func flags(_ help: String) -> Set<String> {
    Set(
      help.split(separator: "\n").compactMap { line in
        line.hasPrefix("  --")
          ? line.dropFirst(4).split(whereSeparator: { " <,".contains($0) }).first.map(String.init) : nil
      })
  }

  @Test func everySettingIsAFlagAndEveryFlagASetting() {
    let names = Set(Setting.all.map(\.name))
    #expect(flags(Self.slave).subtracting(["config", "version", "help"]) == names)
    #expect(flags(Self.master).subtracting(["config", "version", "help"]) == names.subtracting(["master"]))
  }

  @Test func theHelpShowsEachDefault() {
    let flat = Self.slave.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for setting in Setting.all where !setting.isSwitch && !setting.defaultText.isEmpty {
      #expect(
        flat.contains(
          "\(setting.help.split(whereSeparator: \.isWhitespace).joined(separator: " ")) (default: \(setting.defaultText))"
        ))
    }
  }

  @Test func everyFlagReachesItsSetting() throws {
    // `--requirepass -x` begins with a dash and is a value all the same.
    let arguments = [
      "--slowlog-log-slower-than", "-1", "--requirepass", "-x", "--accept-data-loss", "--sync-rate", "1mb",
    ]
    #expect(throws: Never.self) { try MasterCommand.parse(arguments) }
    for setting in Setting.all where setting.name != "master" {
      let value = setting.isSwitch ? [] : [setting.defaultText.isEmpty ? "x" : setting.defaultText]
      let command = try MasterCommand.parse(["--\(setting.name)"] + value)
      #expect(command.givenSettings.map(\.name) == [setting.name])
    }
  }
}
