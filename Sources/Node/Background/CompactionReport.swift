import LogStore

/// What compaction did since the start, and what it is doing: for INFO and COMPACT.
package struct CompactionReport: Sendable {
  package private(set) var runs = 0
  package private(set) var bytesRead = 0
  package private(set) var bytesWritten = 0
  package private(set) var recordsDropped = 0
  package private(set) var isRunning = false
  /// Of the run going on.
  package private(set) var bytesDone = 0
  package private(set) var bytesTotal = 0
  /// Empty when the last run went well.
  package private(set) var lastError = ""

  mutating func begin(bytes: Int) {
    isRunning = true
    (bytesDone, bytesTotal) = (0, bytes)
  }
  mutating func read(bytes: Int) { bytesDone += bytes }
  mutating func end() { isRunning = false }
  mutating func add(_ result: CompactionResult) {
    runs += 1
    bytesRead += result.bytesRead
    bytesWritten += result.bytesWritten
    recordsDropped += result.recordsDropped
    lastError = ""
  }
  mutating func failed(_ text: String) { lastError = text }

  func since(_ earlier: CompactionReport) -> CompactionReport {
    var report = self
    report.runs -= earlier.runs
    report.bytesRead -= earlier.bytesRead
    report.bytesWritten -= earlier.bytesWritten
    report.recordsDropped -= earlier.recordsDropped
    return report
  }
}
