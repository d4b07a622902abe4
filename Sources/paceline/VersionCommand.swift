import ArgumentParser
import PacelineServer

/// `paceline version`: the same as `--version`, for people and scripts that look for a command.
package struct VersionCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version, which INFO shows as paceline_version.")

  package init() {}

  package func run() { print("paceline \(PacelineVersion.current)") }
}
