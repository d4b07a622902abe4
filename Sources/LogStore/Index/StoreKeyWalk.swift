// Raw memory: hands out views of records where they lie.
import Core

/// The records of a database's keys, or of those in one stretch of the index, as they were at one moment.
public struct KeyWalk {
  /// Of each key that was there. They may be read as long as the caller stays inside its epoch.
  public let records: [RecordView]
  /// What is up to this LSN counts, and nothing newer.
  public let moment: LSN
  /// Where to go on; 0 at the end.
  public let next: UInt64
}

/// A key where it lies.
private struct KeyView: Hashable {
  let hash: UInt64
  let record: RecordView
  func hash(into hasher: inout Hasher) { hasher.combine(hash) }
  static func == (a: KeyView, b: KeyView) -> Bool {
    guard a.hash == b.hash, let key = b.record.key.baseAddress else { return false }
    return a.record.hasKey(key, count: b.record.key.count)
  }
}

extension LogStore {
  /// Walks over the keys while others write, and corrects what it has seen by the log of that time: the result is that of the
  /// moment at which the walk ended. Takes no lock but for moments. Inside an epoch; not for who holds the write lock.
  ///
  /// - Parameters:
  ///   - cursor: see `scan`; 0 begins.
  ///   - count: about so many keys, nil for all that are left.
  ///   - isWanted: of a record; may be called for others than those that are returned.
  public func keys(
    of database: Int, from cursor: UInt64, count: Int?, _ isWanted: (RecordView) -> Bool
  ) -> KeyWalk {
    for _ in 0..<3 {
      if let walk = try? correctedWalk(database, cursor, count, isWanted) { return walk }
    }
    return lockedWalk(database, cursor, count, isWanted)
  }

  /// nil when the database was replaced meanwhile.
  private func correctedWalk(
    _ database: Int, _ cursor: UInt64, _ count: Int?, _ isWanted: (RecordView) -> Bool
  ) throws(LogReadError) -> KeyWalk? {
    let begin = positions.applied
    let table = table(database)
    let id = table.pointee.id
    var seen: [RecordView] = []
    var next = cursor
    repeat {
      next = scan(table, cursor: next, count: count ?? 1 << 16) { if isWanted($0) { seen.append($0) } }
    } while count == nil && next != 0
    // What a writer has begun, the walk may have seen in part.
    writeLock.waitForWriter()
    let moment = positions.applied
    guard self.table(database) == table else { return nil }
    guard moment > begin else { return KeyWalk(records: seen, moment: moment, next: next) }

    // Last operation on each key of this stretch since the walk began.
    var changed: [KeyView: Bool] = [:]
    try eachRecord(after: begin, upTo: moment) { record in
      let kind = RecordKind(rawValue: record.kind)
      guard record.table == id, kind == .put || kind == .delete else { return }
      let place = hash(record.key)
      let at = UInt64(place.partition) << 24 | place.tag
      guard at >= cursor, next == 0 || at < next else { return }
      let key = KeyView(hash: place.value, record: record)
      // The newest record takes the place of an older one, as key and as value.
      changed[key] = nil
      changed[key] = kind == .put
    }
    var records: [RecordView] = []
    records.reserveCapacity(seen.count)
    if changed.isEmpty {
      records = seen
    } else {
      for record in seen where changed[KeyView(hash: hash(record.key).value, record: record)] == nil {
        records.append(record)
      }
      for (key, isThere) in changed where isThere && isWanted(key.record) { records.append(key.record) }
    }
    return KeyWalk(records: records, moment: moment, next: next)
  }

  /// The entries are copied under the lock; their records are looked at afterwards.
  private func lockedWalk(
    _ database: Int, _ cursor: UInt64, _ count: Int?, _ isWanted: (RecordView) -> Bool
  ) -> KeyWalk {
    var entries: [IndexEntry] = []
    let access = writeLock.lock()
    var next = cursor
    repeat {
      next = scanEntries(table(database), cursor: next, count: count ?? 1 << 16) { entries.append($0) }
    } while count == nil && next != 0
    let moment = positions.applied
    writeLock.unlock(access)
    var records: [RecordView] = []
    for entry in entries {
      let (record, mapped) = record(entry)
      if mapped, !isIntact(record, entry) { continue }
      if isWanted(record) { records.append(record) }
    }
    return KeyWalk(records: records, moment: moment, next: next)
  }

  /// The records of the log in `after.next...limit`, which is applied. Inside an epoch.
  private func eachRecord(after: LSN, upTo limit: LSN, _ body: (RecordView) -> Void) throws(LogReadError) {
    var cursor = LogCursor(startingAt: after.next)
    while cursor.next <= limit {
      let segment: Segment
      if let here = cursor.segment, here.state != .dropped { segment = here } else { segment = try place(&cursor) }
      guard let (start, isMapped) = addresses.segment(segment.slot) else {
        throw .dropped(wanted: cursor.next, logStart: firstRetainedLSN)
      }
      let end = segment.state == .active ? segment.capacity : segment.used
      if cursor.offset >= end {
        cursor.segment = nil
        continue
      }
      let record = RecordView(start + cursor.offset)
      if isMapped, record.verify(available: end - cursor.offset) != .good {
        throw .damaged(file: path(of: segment, SegmentFormat.fileSuffix), offset: cursor.offset, lsn: cursor.next)
      }
      if record.lsn > limit.value { break }
      body(record)
      cursor.offset += record.recordBytes
      cursor.next = LSN(record.lsn + 1)
    }
  }
}
