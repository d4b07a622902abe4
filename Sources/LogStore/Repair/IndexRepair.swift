// Raw memory: looks records up by their LSNs and points index entries at them.
import Core
import Synchronization

/// Where a record that should be alive is in this node's log.
public enum RecordFinding: Sendable {
  case here(RecordPlace)
  /// The piece that covers its LSN has no such record, or no piece covers it.
  case absent
  /// Under its LSN stands another record, or one with another content.
  case other(isSealed: Bool)
  /// It is there, damaged; or nothing can be told about its piece.
  case damaged(LogFileName)
}

public struct RecordPlace: Sendable {
  let segment: Segment
  let offset: Int
}

/// What came of a change of the index.
public enum IndexFix: Equatable, Sendable {
  case done
  case unchanged
  /// Something is in the way that passes: a compaction of the piece, a delta that is being installed, a damaged record.
  case notNow
}

extension LogStore {
  /// Looks for live records by LSN. Off the clients' loops. O(records of the pieces concerned).
  public func find(_ wanted: [PartitionRecord]) -> [LSN: RecordFinding] {
    guard let participant = epochs.join() else { return [:] }
    epochs.enter(participant)
    defer {
      epochs.leave(participant)
      epochs.resign(participant)
    }
    var left = Dictionary(wanted.map { ($0.lsn, $0) }, uniquingKeysWith: { first, _ in first })
    var found: [LSN: RecordFinding] = [:]
    let limit = positions.applied
    for segment in segmentList.withLock({ $0 }) where segment.firstLSN <= limit {
      let last = segment.state == .active ? limit : min(limit, segment.lastLSN)
      let here = left.keys.filter { $0 >= segment.firstLSN && $0 <= last }
      guard !here.isEmpty else { continue }
      guard let start = addresses.start(segment.slot) else { continue }
      func note(_ record: RecordView) {
        guard let item = left.removeValue(forKey: LSN(record.lsn)) else { return }
        let isIt =
          record.kind == RecordKind.put.rawValue && record.contentHash == item.contentHash
          && hash(record.key).value == item.hash
        found[item.lsn] =
          isIt
          ? .here(RecordPlace(segment: segment, offset: record.base - start))
          : .other(isSealed: segment.state == .sealed)
      }
      if segment.state == .sealed {
        guard let index = indexFile(of: segment) else {
          for lsn in here { found[lsn] = .damaged(segment.name) }
          continue
        }
        for i in 0..<index.count {
          let entry = index.entry(i)
          let lsn = LSN(segment.firstLSN.value + entry.lsnDelta)
          guard left[lsn] != nil else { continue }
          let record = RecordView(start + entry.offset)
          if entry.offset <= segment.used - RecordView.headerBytes,
            record.verify(available: segment.used - entry.offset) == .good, agrees(record, entry, segment)
          {
            note(record)
          } else {
            left[lsn] = nil
            found[lsn] = .damaged(segment.name)
          }
        }
      } else {
        walk(segment, from: here.min() ?? .none, to: last) { record in
          note(record)
          return true
        }
      }
    }
    for lsn in left.keys where found[lsn] == nil { found[lsn] = .absent }
    return found
  }

  /// A piece that a check should look at.
  public func suspect(_ name: LogFileName) {
    segmentList.withLock { $0 }.first { $0.name == name }?.isDamaged = true
  }
  /// The same, by the path of its file of records. false when there is no such sealed piece.
  public func suspect(file: String) -> Bool {
    let found = segmentList.withLock { $0 }.first {
      $0.state == .sealed && "\(directory)/\($0.name.records)" == file
    }
    found?.isDamaged = true
    return found != nil
  }

  /// Lets the index point at a record that is alive and that it does not know, or knows an older one of its key instead.
  ///
  /// - Parameter lsn: it was alive at this LSN; what changed the key since counts more.
  public func putBack(
    _ wanted: PartitionRecord, at place: RecordPlace, database: Int, table id: UInt32, aliveAt lsn: LSN
  ) -> IndexFix {
    return withWriteLock { access in
      let segment = place.segment
      let table = table(database)
      guard indexChange == .none, table.pointee.id == id, segment.rewriters == 0,
        segmentList.withLock({ $0.contains { $0 === segment } })
      else { return .notNow }
      let entry = IndexEntry(tag: IndexHash(wanted.hash).tag, segment: segment.slot, offset: place.offset)
      let record = record(entry).record
      guard record.lsn == wanted.lsn.value, record.table == id, record.contentHash == wanted.contentHash else {
        return .notNow
      }
      let target = locate(table, IndexHash(wanted.hash), record.key)
      if target.damaged { return .notNow }
      if let old = target.old {
        if old.lsn == record.lsn || old.lsn > lsn.value { return .unchanged }
      } else {
        // It may have been deleted since.
        guard lastRemoval(target) <= lsn.value else { return .notNow }
      }
      index(record, at: IndexEntry(tag: 0, segment: segment.slot, offset: place.offset), access)
      segment.deadSince = .none
      return .done
    }
  }

  /// Takes an entry out of the index whose record was not alive any more at `lsn`.
  public func takeOut(_ wrong: PartitionRecord, database: Int, table id: UInt32, deadAt lsn: LSN) -> IndexFix {
    return withWriteLock { access in
      let table = table(database)
      guard indexChange == .none, table.pointee.id == id else { return .notNow }
      let path = IndexHash(wrong.hash)
      for entry in tables.path(table, path) {
        let (record, mapped) = record(entry)
        if mapped, !isIntact(record, entry) {
          noteDamage(entry)
          return .notNow
        }
        guard record.lsn == wrong.lsn.value, hash(record.key).value == wrong.hash else { continue }
        keyspace.takeOut(entry, of: table, path, record.weight, by: lsn.value, access)
        return .done
      }
      return .unchanged
    }
  }
}

extension LogStore {
  /// The sealed piece whose range an LSN is in.
  public func pieceName(of lsn: LSN) -> LogFileName? {
    segmentList.withLock { $0 }.first { $0.state == .sealed && $0.firstLSN <= lsn && $0.lastLSN >= lsn }?.name
  }
}
