import Core
import Synchronization

// How far the log went, in a file of its own beside the generations: `reach`. Little endian. Two slots, at offsets 0 and
// 4096, of 80 bytes each; the good one with the higher number counts.
//
//  offset size name       meaning
//       0    8 magic      "PLRCH\0\0\1", the last byte is the version
//       8    8 number     rises with every note
//      16    8 era        of the log, as in the generation; a note of an older era says nothing about the log of today
//      24    8 begun      first LSN of the newest segment that was begun: its file is on disk, with its header
//      32    8 durable    everything up to this LSN was on disk
//      40    4 term       of the record with that LSN
//      44   20 owner      of that term
//      64    8 node       first 8 bytes of the node's id
//      72    4 zero
//      76    4 checksum   crc32c of bytes 0..<76
//
// Written in place, slot by turn, and flushed: when a segment is begun, before its first record is; every second in which
// the log went on; at a clean end, then both. A crash in the middle of a write leaves the other slot, which claims less.

/// How far a log went: what ends earlier has lost something.
public struct LogReach: Equatable, Sendable {
  /// Everything up to here was on disk.
  public var durable: Position
  /// The newest segment that was begun; none if there is no such claim.
  public var begun: LSN
  public static let none = LogReach(durable: .none, begun: .none)

  public init(durable: Position, begun: LSN) {
    self.durable = durable
    self.begun = begun
  }

  /// What both claim together.
  public func joined(_ other: LogReach) -> LogReach {
    LogReach(
      durable: other.durable.lsn >= durable.lsn ? other.durable : durable, begun: max(begun, other.begun))
  }

  /// All of the log is on disk, and no record follows: a segment that was begun behind it has none.
  public var atEnd: LogReach { LogReach(durable: durable, begun: min(begun, durable.lsn)) }

  /// The newest record that the log may have held and acknowledged. Of a segment that was begun at least one.
  public var reached: Position {
    begun > durable.lsn ? Position(durable.reign, lsn: begun) : durable
  }
}

/// The file; owned by the data directory. Any thread may note; each note is one write in place and one flush.
public final class ReachFile: Sendable {
  public static let name = "reach"
  static let magic: UInt64 = 0x0100_0048_4352_4C50  // "PLRCH\0\0\1"
  static let slotBytes = 80
  static let slotStep = 4096

  /// What a slot holds.
  public struct Note: Equatable, Sendable {
    public var number: UInt64
    public var era: UInt64
    public var reach: LogReach
    public var node: UInt64
  }
  private struct State {
    var file: (any OpenFile)?
    var last: Note
  }
  private let fileSystem: any FileSystem
  private let directory: String
  private let state: Mutex<State>
  private var path: String { "\(directory)/\(Self.name)" }

  /// - Parameters:
  ///   - last: what the file says now, of this era or an older one.
  ///   - node: whose directory it is.
  public init(fileSystem: any FileSystem, directory: String, node: NodeID, era: UInt64, last: Note?) {
    self.fileSystem = fileSystem
    self.directory = directory
    var note = Note(number: last?.number ?? 0, era: era, reach: .none, node: LogStore.hashSeed(of: node))
    if let last, last.era == era, last.node == note.node { note.reach = last.reach }
    state = Mutex(State(last: note))
  }

  /// What was noted in this era, by this process or the one before it.
  public func reach(of era: UInt64) -> LogReach {
    state.withLock { $0.last.era == era ? $0.last.reach : .none }
  }

  /// Notes what is claimed more than before; on disk when this returns. A claim of an older era is not noted.
  public func note(_ reach: LogReach, era: UInt64, inBothSlots: Bool = false) throws(FileError) {
    try change(era) { last in
      var joined = last.joined(reach)
      if inBothSlots { joined = joined.atEnd }
      return joined == last && !inBothSlots ? nil : joined
    } andAgain: {
      inBothSlots
    }
  }

  /// The log is about to be cut back to its last whole unit: from now on no more is claimed than what stays.
  public func lower(to reach: LogReach, era: UInt64) throws(FileError) {
    try change(era) { last in
      guard last.durable.lsn > reach.durable.lsn || last.begun > reach.begun else { return nil }
      return LogReach(
        durable: last.durable.lsn > reach.durable.lsn ? reach.durable : last.durable,
        begun: min(last.begun, reach.begun))
    } andAgain: {
      // The other slot claims more, and must not count if this one is damaged.
      true
    }
  }

  private func change(
    _ era: UInt64, _ edit: (LogReach) -> LogReach?, andAgain: () -> Bool
  ) throws(FileError) {
    var failure: FileError?
    state.withLock { state in
      guard era >= state.last.era else { return }
      let known = era > state.last.era ? LogReach.none : state.last.reach
      guard let reach = edit(known) else { return }
      do throws(FileError) {
        for _ in 0..<(andAgain() ? 2 : 1) {
          let next = Note(number: state.last.number + 1, era: era, reach: reach, node: state.last.node)
          try write(next, &state)
          state.last = next
        }
      } catch {
        // A descriptor that failed is not trusted with the next note.
        state.file?.close()
        state.file = nil
        failure = error
      }
    }
    if let failure { throw failure }
  }

  private func write(_ note: Note, _ state: inout State) throws(FileError) {
    let bytes = Self.encoded(note)
    let file: any OpenFile
    if let open = state.file {
      file = open
    } else {
      if !fileSystem.exists(path) {
        let empty = [UInt8](repeating: 0, count: Self.slotStep + Self.slotBytes)
        try fileSystem.replace(path, in: directory, with: empty)
      }
      file = try fileSystem.open(path, .readWrite)
      state.file = file
    }
    try file.write(bytes, at: note.number % 2 == 0 ? 0 : UInt64(Self.slotStep))
    try file.flush()
  }

  static func encoded(_ note: Note) -> [UInt8] {
    var out = ByteWriter(capacity: slotBytes)
    out.u64(magic)
    out.u64(note.number)
    out.u64(note.era)
    out.u64(note.reach.begun.value)
    out.u64(note.reach.durable.lsn.value)
    out.u32(note.reach.durable.term.value)
    out.raw(note.reach.durable.reign.owner.bytes)
    out.u64(note.node)
    out.u32(0)
    out.u32(CRC32C.checksum(out.bytes))
    return out.bytes
  }

  static func decoded(_ bytes: [UInt8]) -> Note? {
    var reader = ByteReader(bytes)
    guard bytes.count == slotBytes, CRC32C.checksum(Array(bytes.prefix(slotBytes - 4))) == u32(bytes, slotBytes - 4),
      (try? reader.u64()) == magic, let number = try? reader.u64(), let era = try? reader.u64(),
      let begun = try? reader.u64(), let lsn = try? reader.u64(), let term = try? reader.u32(),
      let owner = try? reader.raw(NodeID.byteCount), let node = try? reader.u64()
    else { return nil }
    let durable = Position(Reign(term: Term(term), owner: NodeID(random: owner)), lsn: LSN(lsn))
    return Note(number: number, era: era, reach: LogReach(durable: durable, begun: LSN(begun)), node: node)
  }
  private static func u32(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    var reader = ByteReader(bytes, offset: at)
    return (try? reader.u32()) ?? 0
  }

  /// What the file in a directory says; nil if there is none, or nothing in it can be read.
  /// - Returns: the note, and what is wrong with the file.
  public static func read(
    _ directory: String, _ fileSystem: any FileSystem
  ) throws -> (note: Note?, damage: String?) {
    let path = "\(directory)/\(name)"
    guard fileSystem.exists(path) else { return (nil, nil) }
    let bytes: [UInt8]
    do { bytes = try fileSystem.readAll(path) } catch { return (nil, "\(path) cannot be read: \(error)") }
    try bytes.withUnsafeBytes { raw in
      // The version counts only in a slot of which the checksum holds: it is that of every version.
      guard raw.count >= slotBytes, CRC32C.checksum(Array(bytes.prefix(slotBytes - 4))) == u32(bytes, slotBytes - 4)
      else { return }
      try FormatVersion.refuseNewer(raw, than: magic, file: path)
    }
    let slots = [0, slotStep].map { at in
      bytes.count >= at + slotBytes ? decoded(Array(bytes[at..<at + slotBytes])) : nil
    }
    let good = slots.compactMap { $0 }
    let isFresh = bytes.allSatisfy { $0 == 0 }
    if good.isEmpty { return (nil, isFresh ? nil : "\(path) is damaged: nothing in it can be read") }
    let unused = zip([0, slotStep], slots).allSatisfy { at, slot in
      slot != nil || bytes.count >= at + slotBytes && bytes[at..<at + slotBytes].allSatisfy { $0 == 0 }
    }
    return (
      good.max { $0.number < $1.number },
      unused ? nil : "\(path) is damaged in one of its two slots; the other one counts"
    )
  }
}

/// The log notes how far it went: which file, and for which era of the log.
struct ReachNote: Sendable {
  let file: ReachFile
  let era: UInt64
}

extension LogStore {
  /// From now on the store notes how far its log went. It is the one that the newest generation names.
  public func noteReach(in file: ReachFile, era: UInt64) {
    reachNote.withLock { $0 = ReachNote(file: file, era: era) }
  }

  /// What is on disk of this log.
  public var reach: LogReach {
    withWriteLock { access in reach(access) }
  }
  func reach(_ access: borrowing WriteAccess) -> LogReach {
    LogReach(durable: terms.position(at: positions.durable), begun: LSN(begunLSN.load(ordering: .acquiring)))
  }

  /// Writes down how far the log went: nothing to do while it stands still. Off the clients' loops.
  /// - Parameter isEnd: the process is about to end: in both slots of the file.
  public func noteReach(isEnd: Bool = false) throws(FileError) {
    guard let note = reachNote.withLock({ $0 }) else { return }
    try note.file.note(reach, era: note.era, inBothSlots: isEnd)
  }

  /// A segment's file is on disk, with its header: that it was begun is on disk when this returns.
  func noteBegun(_ lsn: LSN) throws(FileError) {
    begunLSN.store(lsn.value, ordering: .releasing)
    guard let note = reachNote.withLock({ $0 }) else { return }
    // What stands before it was flushed before.
    try note.file.note(LogReach(durable: .none, begun: lsn), era: note.era)
  }
}
