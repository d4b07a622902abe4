import ArgumentParser
import LogStore
import PacelineClient

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in a data directory, a segment, an index or a generation file.",
    discussion: """
      Only reads, so the server may be running. Every checksum is checked; what is
      damaged is marked DAMAGED with file, offset and LSN.

      EXAMPLES
        paceline inspect /var/lib/paceline
        paceline inspect /var/lib/paceline/store-1/00000000000000000001.wal --records
        paceline inspect --verify /var/lib/paceline

      Exit code 0: all is good; 1: damage was found, or nothing can be read; 2: wrong
      usage.
      """)

  @Argument(
    help: ArgumentHelp("A data directory, a store directory, or a .wal, .dat, .idx or .dir file.", valueName: "path"))
  var path: String

  @Flag(help: "List every record: LSN, term, kind, table, key, bytes of the value, flags.")
  var records = false

  @Flag(
    help: """
      Check every generation of a data directory and every file that one of them names, and print a summary only.
      """)
  var verify = false

  @Flag(help: "With --verify: the result as one JSON object.")
  var json = false

  func validate() throws {
    if json, !verify { throw ValidationError("--json needs --verify") }
    if verify, records { throw ValidationError("--verify prints no records; leave out --records") }
  }

  private func runVerification() throws {
    var shown = 0
    var verification = Verification(fileSystem: RealFileSystem()) { done, total, bytes in
      guard bytes - shown >= 1 << 30 else { return }
      shown = bytes
      Terminal.writeError("\(done) of \(total) files, \(HumanText.bytes(UInt64(bytes))) checked\n")
    }
    let summary: Verification.Summary
    do { summary = try verification.verify(path) } catch {
      Terminal.writeError("\(error)\n")
      throw ExitCode(1)
    }
    if json { print(summary.json) } else { for line in summary.lines { print(line) } }
    if !summary.damage.isEmpty { throw ExitCode(1) }
  }

  func run() throws {
    if verify { return try runVerification() }
    var inspection = Inspection(fileSystem: RealFileSystem(), showRecords: records) { print($0) }
    do { try inspection.inspect(path) } catch {
      print(error.description)
      throw ExitCode(1)
    }
    if inspection.damageCount > 0 {
      print("\(inspection.damageCount) DAMAGED places")
      throw ExitCode(1)
    }
  }
}
