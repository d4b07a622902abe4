/// How many databases a data set has. The number is in the log, so every node of the row has the same one at the same LSN;
/// what a node was started with (`--databases`) counts only where it may raise it.
///
/// | this node | number |
/// |---|---|
/// | starts as the master of a log that names no number | its own, or more if more are in use |
/// | starts as the master of a log that names one | its own if that is higher, else the log's |
/// | follows a master, or is made master without a start | the log's |
package enum DatabaseCount {
  /// What a reign begins with.
  ///
  /// - Parameters:
  ///   - own: `--databases`.
  ///   - named: the number that the log names; nil if it names none.
  ///   - inForce: what this node serves now.
  ///   - used: up to which number databases have keys or settings.
  ///   - isStart: the reign is that of a node that was started as the master.
  package static func atReign(own: Int, named: Int?, inForce: Int, used: Int, isStart: Bool) -> Int {
    guard isStart else { return max(named ?? inForce, used) }
    return max(own, max(named ?? 0, used))
  }

  /// Why the operator's number does not count; nil where it does.
  package static func note(own: Int, inForce: Int, used: Int, isMaster: Bool) -> String? {
    guard own != inForce else { return nil }
    guard isMaster else { return "a slave takes its master's number" }
    if own > inForce { return "a master raises it when it is started with a higher number" }
    return used > own ? "it is never lowered, and database \(used - 1) is in use" : "it is never lowered"
  }
}
