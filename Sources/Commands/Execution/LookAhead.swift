// Raw memory: argument lists and hashes of the commands ahead, in memory of the loop's own.
import LogStore
import RESP

/// Commands of a pipeline that are parsed before they are executed, so that the index slots and records which they will
/// touch are fetched from memory while others run: a look-up is two cache misses and little else.
///
/// One per event loop. Changes nothing but time: what is parsed ahead and not executed is simply parsed again.
package struct LookAhead: ~Copyable {
  package static let commandsMax = 16
  private let lists: UnsafeMutablePointer<ArgumentList>
  private let hashes: UnsafeMutablePointer<UInt64>
  private let sizes: UnsafeMutablePointer<Int>
  package private(set) var count = 0

  package init() {
    lists = .allocate(capacity: Self.commandsMax)
    for i in 0..<Self.commandsMax { (lists + i).initialize(to: ArgumentList()) }
    hashes = .allocate(capacity: Self.commandsMax + 1)
    hashes.initialize(repeating: 0, count: Self.commandsMax + 1)
    sizes = .allocate(capacity: Self.commandsMax)
    sizes.initialize(repeating: 0, count: Self.commandsMax)
  }

  deinit {
    lists.deinitialize(count: Self.commandsMax)
    lists.deallocate()
    hashes.deallocate()
    sizes.deallocate()
  }

  /// Parses up to 16 whole commands; stops before whatever is not one.
  package mutating func fill(_ start: UnsafeRawPointer, count bytes: Int, limits: borrowing RequestLimits) {
    count = 0
    var parser = RequestParser()
    var at = 0
    var from = 0
    while count < Self.commandsMax, at < bytes {
      switch parser.next(start + at, count: bytes - at, limits: limits, into: &lists[count]) {
      case .command(let consumed):
        at += consumed
        sizes[count] = at - from
        from = at
        count += 1
      case .nothing(let consumed): at += consumed
      case .incomplete, .failed: return
      }
    }
  }

  package func arguments(_ i: Int, _ body: (borrowing ArgumentList, Int) -> Bool) -> Bool {
    body(lists[i], sizes[i])
  }

  /// Fetches, in two rounds, what `first` and the commands ahead will look at: their keys' slots, then the records there.
  package func prefetch(_ first: borrowing ArgumentList, _ store: LogStore, database: Int) {
    let table = store.table(database)
    var known: UInt32 = 0
    for i in 0...count {
      let hash: IndexHash?
      if i == 0 { hash = keyHash(first, store) } else { hash = keyHash(lists[i - 1], store) }
      guard let hash else { continue }
      known |= 1 << UInt32(i)
      hashes[i] = hash.value
      store.prefetch(table, hash)
    }
    for i in 0...count where known & (1 << UInt32(i)) != 0 { store.prefetchRecord(table, IndexHash(hashes[i])) }
  }

  /// The first argument is the key of nearly every command that has one; for the others a line is fetched in vain.
  @inline(__always)
  private func keyHash(_ arguments: borrowing ArgumentList, _ store: LogStore) -> IndexHash? {
    arguments.count > 1 ? store.hash(arguments[1]) : nil
  }
}
