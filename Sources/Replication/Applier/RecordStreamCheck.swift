import Core

/// Whether log frames continue the log without a gap, an overlap or a step back in time. Works on numbers only; the
/// records themselves (and that each one's LSN and term agree with the frame) are checked by the store that keeps them.
package struct RecordStreamCheck: Hashable, Sendable {
  /// The LSN that must come next.
  package private(set) var nextLSN: LSN
  /// The term of the last record taken.
  package private(set) var term: Term

  package init(nextLSN: LSN, term: Term) {
    self.nextLSN = nextLSN
    self.term = term
  }

  /// Takes a run of records, or says why it does not continue this log. State is unchanged by a refusal.
  package mutating func take(firstLSN: LSN, lastLSN: LSN, term: Term) throws(ReplicationError) {
    guard firstLSN <= nextLSN else {
      throw ReplicationError(.logGap, "LSN \(nextLSN) is missing: LSN \(firstLSN) to \(lastLSN) came")
    }
    guard firstLSN == nextLSN else {
      throw ReplicationError(.logOverlap, "LSN \(firstLSN) to \(lastLSN) came again, \(nextLSN) is expected")
    }
    // The highest LSN has no next one; nobody writes it, so whoever sends it is not a master.
    guard lastLSN >= firstLSN, lastLSN.value < UInt64.max else {
      throw ReplicationError(.logGap, "LSN \(firstLSN) to \(lastLSN) is no run of records")
    }
    guard term >= self.term else {
      throw ReplicationError(.termBackwards, "term \(term) at LSN \(lastLSN) comes after term \(self.term)")
    }
    nextLSN = lastLSN.next
    self.term = term
  }
}

/// Whether delta frames come in order: LSNs rise strictly from the slave's own last one on, gaps are legal, terms never
/// fall, nothing is sent that is not committed. Numbers only, as above; the store checks every record.
package struct DeltaStreamCheck: Hashable, Sendable {
  /// Of the last record taken; at first the slave's own last LSN.
  package private(set) var lastLSN: LSN
  package private(set) var term: Term

  package init(afterLSN: LSN, term: Term) {
    lastLSN = afterLSN
    self.term = term
  }

  /// Takes a run of records. State is unchanged by a refusal.
  /// - Parameter committed: the frame's committed LSN.
  package mutating func take(
    firstLSN: LSN, lastLSN: LSN, term: Term, committed: LSN
  ) throws(ReplicationError) {
    guard firstLSN > self.lastLSN, lastLSN >= firstLSN, lastLSN.value < UInt64.max else {
      throw ReplicationError(.deltaOrder, "LSN \(firstLSN) to \(lastLSN) of a delta came after LSN \(self.lastLSN)")
    }
    guard lastLSN <= committed else {
      throw ReplicationError(.deltaOrder, "LSN \(lastLSN) of a delta came, committed is LSN \(committed)")
    }
    guard term >= self.term else {
      throw ReplicationError(.termBackwards, "term \(term) at LSN \(lastLSN) comes after term \(self.term)")
    }
    self.lastLSN = lastLSN
    self.term = term
  }
}
