import Core

/// What all frame bodies share: the version byte, counts that are believed only as far as the bytes reach, ids and
/// term histories.
enum BodyCoding {
  static let version: UInt8 = 1
  /// The newest: as many as a control frame has room for.
  static let historyEntriesMax = 2000
  static let historyEntryBytes = 4 + NodeID.byteCount + 8

  /// Runs a body's decoder. Any shortage or leftover becomes a `FrameError`, never a trap.
  static func read<Body>(
    _ type: FrameType, _ bytes: [UInt8], _ decode: (inout ByteReader) throws -> Body
  ) throws(FrameError) -> Body {
    var reader = ByteReader(bytes)
    do {
      let body = try decode(&reader)
      guard reader.remaining == 0 else {
        throw FrameError(.badBody, "\(reader.remaining) bytes too many in a \(type) body")
      }
      return body
    } catch let error as FrameError {
      throw error
    } catch {
      throw FrameError(.badBody, "\(type) body: \(error)")
    }
  }

  static func checkVersion(_ reader: inout ByteReader) throws {
    let found = try reader.u8()
    guard found == version else { throw FrameError(.badBody, "body version \(found), this node knows \(version)") }
  }

  /// A u32 count that the remaining bytes can really hold.
  static func count(_ reader: inout ByteReader, entryBytes: Int, max: Int) throws -> Int {
    let count = Int(try reader.u32())
    guard count <= max else { throw FrameError(.badBody, "\(count) entries, at most \(max) are allowed") }
    guard count * entryBytes <= reader.remaining else {
      throw FrameError(.badBody, "\(count) entries announced in \(reader.remaining) bytes")
    }
    return count
  }

  static func term(_ reader: inout ByteReader) throws -> Term {
    let value = try reader.u32()
    guard let term = Term(outside: UInt64(value)) else {
      throw FrameError(.badBody, "term \(value), at most \(Term.limit) is allowed")
    }
    return term
  }

  static func lsn(_ reader: inout ByteReader) throws -> LSN {
    let value = try reader.u64()
    guard let lsn = LSN(outside: value) else {
      throw FrameError(.badBody, "LSN \(value), at most \(LSN.limit) is allowed")
    }
    return lsn
  }

  static func clock(_ reader: inout ByteReader) throws -> WallClock {
    let value = try reader.u64()
    guard let clock = WallClock(outside: value) else {
      throw FrameError(.badBody, "a clock of \(value) ms, at most \(WallClock.limit.milliseconds) is allowed")
    }
    return clock
  }

  /// A size or a count without a type of its own.
  static func number(_ reader: inout ByteReader) throws -> UInt64 {
    let value = try reader.u64()
    guard value <= OutsideNumber.limit else {
      throw FrameError(.badBody, "the number \(value), at most \(OutsideNumber.limit) is allowed")
    }
    return value
  }

  static func nodeID(_ reader: inout ByteReader) throws -> NodeID { NodeID(random: try reader.raw(NodeID.byteCount)) }

  static func write(_ history: TermHistory, to out: inout ByteWriter) {
    let kept = history.entries.suffix(historyEntriesMax)
    out.u16(UInt16(kept.count))
    for entry in kept {
      out.u32(entry.term.value)
      out.raw(entry.owner.bytes)
      out.u64(entry.firstLSN.value)
    }
  }

  static func history(_ reader: inout ByteReader) throws -> TermHistory {
    let count = Int(try reader.u16())
    guard count <= historyEntriesMax, count * historyEntryBytes <= reader.remaining else {
      throw FrameError(.badBody, "a term history of \(count) entries in \(reader.remaining) bytes")
    }
    var entries: [TermHistory.Entry] = []
    for _ in 0..<count {
      let reign = Reign(term: try term(&reader), owner: try nodeID(&reader))
      entries.append(TermHistory.Entry(reign, firstLSN: try lsn(&reader)))
    }
    guard let history = TermHistory(entries) else { throw FrameError(.badBody, "a term history that does not rise") }
    return history
  }
}
