// Raw memory: looks at flags of records in the log.
import Core
import Synchronization

/// How far this store's log can be cut back, when another master's history leaves it. Under the write lock.
extension LogStore {
  /// Where a cut that keeps everything up to `lsn` is made: the last end of a unit up to there. nil if the log cannot be
  /// cut there any more: what compaction or a delta has dropped would be needed again. O(the unit that `lsn` is in).
  public func rewindPoint(notAfter lsn: LSN, _ access: borrowing WriteAccess) -> LSN? {
    guard lsn >= rewindFloor else { return nil }
    let limit = min(lsn, LSN(lastLSN))
    for segment in segmentList.withLock({ $0 }).reversed() where segment.firstLSN <= limit {
      guard !segment.name.isData else { break }
      var end = LSN.none
      walk(segment, from: max(rewindFloor, LSN(1)), to: limit) { record in
        if !record.unitContinues { end = LSN(record.lsn) }
        return true
      }
      if end > .none { return end }
      // The floor is the end of a unit, unless the record there says otherwise.
      if segment.firstLSN <= rewindFloor { return nil }
    }
    return rewindFloor <= limit ? rewindFloor : nil
  }

  /// What is dropped from now on was replaced by records up to `lsn`, which is settled: cutting the log below it, or
  /// below the end of the unit it is in, would need the dropped records again. A start takes everything up to the floor for
  /// good, so it is never raised beyond what is.
  func raiseRewindFloor(to lsn: LSN, _ access: borrowing WriteAccess) {
    guard lsn > rewindFloor else { return }
    var floor = lsn
    var cursor = LogCursor(startingAt: lsn)
    let applied = positions.applied
    do throws(LogReadError) {
      while cursor.next <= applied {
        let (record, _) = try nextRecord(&cursor, access)
        floor = LSN(record.lsn)
        if !record.unitContinues { break }
      }
    } catch {
      // No record there can be looked at, but those of sealed pieces are good to the ends of their units.
      floor = max(lsn, min(applied, positions.committed))
    }
    rewindFloor = floor
  }

  /// The catalog as it was behind the record `lsn`.
  func catalog(at lsn: LSN) -> Catalog {
    var newest: Catalog?
    func look(_ segment: Segment, from first: LSN) {
      walk(segment, from: first, to: lsn) { record in
        if record.kind == RecordKind.catalog.rawValue, let catalog = Catalog([UInt8](record.value)) { newest = catalog }
        return true
      }
    }
    let segments = segmentList.withLock { $0 }.filter { $0.firstLSN <= lsn }
    let applied = positions.applied
    if newestCatalogLSN <= lsn.value {
      newest = catalog
      for segment in segments where segment.state == .active || segment.lastLSN > applied {
        look(segment, from: applied.next)
      }
    } else {
      for segment in segments.reversed() where segment.keptRecords > 0 || segment.lastLSN > applied {
        look(segment, from: LSN(1))
        if newest != nil { break }
      }
    }
    return newest ?? Catalog(databases: max(databases, configuration.databases))
  }

  /// The files belong to another store from now on: this one writes nothing any more. Reads go on.
  public func retire(_ why: String) {
    failureText.withLock { $0 = why }
    refusal.store(2, ordering: .releasing)
  }
  /// After all, the files stay this store's.
  public func takeBack() { refusal.store(0, ordering: .releasing) }
}
