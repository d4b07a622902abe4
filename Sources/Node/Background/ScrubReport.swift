/// What was checked and repaired since the start.
package struct ScrubReport: Sendable {
  package internal(set) var files = 0
  package internal(set) var bytes = 0
  package internal(set) var damagedFiles = 0
  package internal(set) var damagedRecords = 0
  package internal(set) var repairedRecords = 0

  func since(_ earlier: ScrubReport) -> ScrubReport {
    var report = self
    report.files -= earlier.files
    report.bytes -= earlier.bytes
    report.damagedFiles -= earlier.damagedFiles
    report.damagedRecords -= earlier.damagedRecords
    report.repairedRecords -= earlier.repairedRecords
    return report
  }
}
