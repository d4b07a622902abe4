// Raw memory: values are compressed and expanded in memory of the loop's own.
import LogStore

/// What an event loop needs for compressed values. Commands do not know of it: `KeyAccess.read` and `liveValue` give them
/// records as they were written, `put` compresses what pays.
package final class ValueScratch {
  var arena = ValueArena()
  /// Something is to be taken back before the next command.
  var isUsed = false
  let expander = ValueExpander()
  package let compressor = ValueCompressor()
  private var trials = CompressionTrials()
  /// The stored form of the value compressed last.
  private var room = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// The value that was compressed before the write lock was taken, and what became of it: 0 if it did not pay.
  private var ahead: (value: UnsafeRawBufferPointer, stored: Int)?
  /// Values shorter than this are stored as they are. Tests lower it.
  package var rawBytesMin = CompressedValue.rawBytesMin

  package init() {}
  deinit { room.deallocate() }

  func reset() {
    arena.reset()
    ahead = nil
    isUsed = false
  }

  /// Compresses a value that `compressed` is going to be asked for.
  func compressAhead(_ value: UnsafeRawBufferPointer) {
    ahead = (value, compress(value))
    isUsed = true
  }

  /// The stored form of a value, valid until the next call; nil if the value is stored as it is.
  func compressed(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let stored: Int
    if let ahead, ahead.value.baseAddress == value.baseAddress, ahead.value.count == value.count {
      stored = ahead.stored
      self.ahead = nil
    } else {
      stored = compress(value)
    }
    return stored == 0 ? nil : UnsafeRawBufferPointer(rebasing: room[..<stored])
  }

  private func compress(_ value: UnsafeRawBufferPointer) -> Int {
    ahead = nil
    guard value.count <= CompressedValue.rawBytesMax, trials.isDue() else { return 0 }
    let wanted = compressor.outputBytes(for: value.count)
    if room.count < wanted {
      room.deallocate()
      room = .allocate(byteCount: max(4096, wanted + wanted / 2), alignment: 16)
    }
    let stored = compressor.compress(.lz4, value, into: room)
    trials.tried(paid: stored != nil)
    return stored ?? 0
  }
}

extension KeyAccess {
  // MARK: Reading

  /// A record that was found by `readStored`, with its value as it was written.
  @inline(never)
  func expanded(_ found: RecordView, _ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure)
    -> RecordView?
  {
    var record = found
    while record.isCompressed {
      guard ValueExpander.needsDictionary(record) else { return try expanded(record, nil, slot: nil) }
      let table = store.table(database)
      if let slot = store.slot(of: record, table, store.hash(key)) {
        return try expanded(record, store.dictionary(forSlot: slot, table: record.table), slot: slot)
      }
      // The index has moved on between the two looks.
      guard let again = try readStored(key, in: database) else { return nil }
      record = again
    }
    return record
  }

  /// - Parameter slot: of its segment, if it needs a dictionary.
  private func expanded(
    _ record: RecordView, _ dictionary: ValueDictionary?, slot: Int?
  ) throws(CommandFailure) -> RecordView {
    guard let bytes = ValueExpander.expandedBytes(record) else { throw .corrupt }
    let room = try room(bytes)
    do throws(ExpandFailure) {
      return try values.expander.expand(record, dictionary: dictionary, into: room)
    } catch {
      // A dictionary that is damaged, bytes that were damaged in memory, or by a writer that we do not know: no value is
      // better than a wrong one.
      if let slot { store.noteUnreadable(record, slot: slot) }
      throw .corrupt
    }
  }

  /// Room for at least so many bytes of a value that the present command expands; it stays where it is until the next one.
  func room(_ bytes: Int) throws(CommandFailure) -> UnsafeMutableRawBufferPointer {
    values.isUsed = true
    guard let room = values.arena.allocate(bytes) else {
      throw .text("OOM the command holds more than 256 MiB of values that are stored compressed")
    }
    return room
  }

  /// The record at a target with its value as it was written, nil if it has expired.
  @inline(__always)
  func liveValue(_ target: WriteTarget) throws(CommandFailure) -> RecordView? {
    guard let old = live(target) else { return nil }
    if _slowPath(old.isCompressed) { return try expanded(old, at: target) }
    return old
  }

  @inline(never)
  func expanded(_ record: RecordView, at target: WriteTarget) throws(CommandFailure) -> RecordView {
    guard record.isCompressed else { return record }
    let needs = ValueExpander.needsDictionary(record)
    return try expanded(
      record, needs ? store.dictionary(forSlot: target.slot, table: record.table) : nil, slot: needs ? target.slot : nil
    )
  }

  /// Runs `body`, and takes back what it expanded: for commands that answer value by value.
  @inline(__always)
  func releasingValues(_ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    let mark = values.arena.mark
    try body()
    if _slowPath(values.isUsed) { values.arena.release(to: mark) }
  }

  // MARK: Writing

  /// Compresses the value of a write that is about to take the write lock. Others take the lock meanwhile.
  @inline(__always)
  func compressAhead(_ value: UnsafeRawBufferPointer) {
    if _slowPath(store.compressesValues), !holdsLock, takesWrites, value.count >= values.rawBytesMin {
      values.compressAhead(value)
    }
  }

  /// Writes a value compressed; false, and nothing written, if it does not pay.
  @inline(never)
  func putCompressed(
    _ target: WriteTarget, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, expiry: UInt64
  ) throws(CommandFailure) -> Bool {
    guard value.count <= store.configuration.valueBytesMax else { throw .valueTooLong }
    guard let stored = values.compressed(value) else { return false }
    guard store.putCompressed(target, key: key, method: .lz4, stored: stored, raw: value, expiry: expiry, writeAccess!)
    else {
      throw .outOfMemory
    }
    wrote()
    return true
  }
}
