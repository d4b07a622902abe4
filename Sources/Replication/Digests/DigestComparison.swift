import Core

/// Are master and slave equal? The same sums at the same LSN say so.
package enum DigestComparison: Hashable, Sendable {
  case equal
  /// Ranges whose sums or counts differ, or that only one side has; sorted.
  case different([Digest.RangeID])
  /// The two were taken at different LSNs: says nothing.
  case notComparable(own: LSN, master: LSN)

  /// O(ranges). A range without live records equals one that is not listed: a table that was created and never used
  /// may be known to one side only.
  package static func compare(own: Digest, master: Digest) -> DigestComparison {
    guard own.lsn == master.lsn else { return .notComparable(own: own.lsn, master: master.lsn) }
    var different: [Digest.RangeID] = []
    var i = 0
    var j = 0
    while i < own.ranges.count || j < master.ranges.count {
      let ours = i < own.ranges.count ? own.ranges[i] : nil
      let theirs = j < master.ranges.count ? master.ranges[j] : nil
      if let ours, let theirs, ours.id == theirs.id {
        if ours.sum != theirs.sum || ours.liveRecords != theirs.liveRecords { different.append(ours.id) }
        i += 1
        j += 1
      } else if let ours, theirs.map({ ours.id < $0.id }) ?? true {
        if ours.liveRecords != 0 || ours.sum != 0 { different.append(ours.id) }
        i += 1
      } else if let theirs {
        if theirs.liveRecords != 0 || theirs.sum != 0 { different.append(theirs.id) }
        j += 1
      }
    }
    return different.isEmpty ? .equal : .different(different)
  }

  /// The databases in which something differs, each once, rising.
  package var databases: [UInt32] {
    switch self {
    case .equal, .notComparable: return []
    case .different(let ranges):
      var databases: [UInt32] = []
      for range in ranges where databases.last != range.database { databases.append(range.database) }
      return databases
    }
  }
}
