import Core

/// A store that this node gave up for another one, set aside in its data directory under a name that tells what it is:
/// `replaced-<data set>-<term>-<LSN>-<seconds since 1970>`, where the log ended and when it was set aside.
package struct ReplacedStore: Hashable, Sendable {
  package let lineage: NodeID
  package let last: Position
  package let atSeconds: UInt64
  /// Of its files, as they were found.
  package var bytes: UInt64

  package init(lineage: NodeID, last: Position, atSeconds: UInt64, bytes: UInt64 = 0) {
    self.lineage = lineage
    self.last = Position(Reign(term: last.term, owner: .unknown), lsn: last.lsn)
    self.atSeconds = atSeconds
    self.bytes = bytes
  }

  package static let prefix = "replaced-"
  package var name: String { "\(Self.prefix)\(lineage)-\(last.term)-\(last.lsn)-\(atSeconds)" }

  /// nil for a name that `name` would not give.
  package init?(name: String) {
    guard name.hasPrefix(Self.prefix) else { return nil }
    let parts = name.dropFirst(Self.prefix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 4, let lineage = NodeID(hex: parts[0]), let number = KeyValueArguments.number(parts[1]),
      let term = Term(outside: number), let lsn = KeyValueArguments.number(parts[2]),
      let seconds = KeyValueArguments.number(parts[3])
    else { return nil }
    self.init(
      lineage: lineage, last: Position(Reign(term: term, owner: .unknown), lsn: LSN(lsn)), atSeconds: seconds)
    guard self.name == name else { return nil }
  }
}

package enum ReplacedStoreRule {
  /// Those that go now: what is older than `keepSeconds` (0: all), then the oldest, until so many bytes are free.
  ///
  /// - Parameter freeBytes: of the disk now; what is removed adds to it.
  package static func dropped(
    _ stores: [ReplacedStore], nowSeconds: UInt64, keepSeconds: UInt64, freeBytes: UInt64, wantedBytes: UInt64
  ) -> [ReplacedStore] {
    var free = freeBytes
    var dropped: [ReplacedStore] = []
    // The name decides between two of one second, so that the choice does not depend on the order of the list.
    for store in stores.sorted(by: { ($0.atSeconds, $0.name) < ($1.atSeconds, $1.name) }) {
      // A clock that was set back makes nothing older.
      let age = nowSeconds > store.atSeconds ? nowSeconds - store.atSeconds : 0
      guard keepSeconds == 0 || age >= keepSeconds || free < wantedBytes else { continue }
      dropped.append(store)
      free = free.addingReportingOverflow(store.bytes).overflow ? .max : free + store.bytes
    }
    return dropped
  }
}
