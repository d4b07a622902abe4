import Core

/// What every record that any master appended did, by its position: the truth that everything shown is held against.
///
/// A position names one record in the whole cluster, so a node's term history and an LSN name one state of the data.
package struct WrittenHistory: Sendable {
  package struct Entry: Equatable, Sendable {
    package let position: Position
    /// nil: the key was deleted.
    package let value: String?
    /// Of this record and all that were written before it.
    fileprivate let highest: LSN
    package init(position: Position, value: String?, highest: LSN = .none) {
      self.position = position
      self.value = value
      self.highest = max(highest, position.lsn)
    }
  }
  /// By key, in the order in which they were written.
  private var entries: [String: [Entry]] = [:]
  private var keysInOrder: [String] = []

  package init() {}

  package var keys: [String] { keysInOrder }

  package mutating func wrote(_ key: String, _ value: String?, at position: Position) {
    if entries[key] == nil { keysInOrder.append(key) }
    entries[key, default: []].append(
      Entry(position: position, value: value, highest: entries[key]?.last?.highest ?? .none))
  }

  /// The newest record of a key at or below an LSN of a history; nil if there is none.
  package func newest(_ key: String, upTo lsn: LSN, in branch: TermHistory) -> Entry? {
    guard let written = entries[key] else { return nil }
    var newest: Entry?
    // From the end: what was written last is asked for most, and nearly always it is the newest.
    for entry in written.reversed() {
      if let newest, newest.position.lsn >= entry.highest { break }
      guard entry.position.lsn <= lsn, entry.position.lsn > newest?.position.lsn ?? .none,
        branch.reign(of: entry.position.lsn) == entry.position.reign
      else { continue }
      newest = entry
    }
    return newest
  }

  /// Where a value was written; values are unique.
  package func place(of value: String, in key: String) -> Position? {
    entries[key]?.first { $0.value == value }?.position
  }
}

/// A change of history that the commit level allows to lose what was acknowledged: a slave was made master by force while
/// its log ended at `keptUpTo`.
package struct PermittedLoss: Equatable, Sendable, CustomStringConvertible {
  package enum Reigns: Equatable, Sendable {
    case only(Reign)
    case before(Reign)
  }
  /// Records of these reigns ...
  package let reigns: Reigns
  /// ... behind this LSN may be gone.
  package let keptUpTo: LSN
  package init(_ reigns: Reigns, keptUpTo: LSN) {
    self.reigns = reigns
    self.keptUpTo = keptUpTo
  }
  package func permits(_ position: Position) -> Bool {
    guard position.lsn > keptUpTo else { return false }
    switch reigns {
    case .only(let reign): return position.reign == reign
    case .before(let reign): return position.reign < reign
    }
  }
  package var description: String {
    switch reigns {
    case .only(let reign): "what was written in \(reign) after LSN \(keptUpTo) may be lost"
    case .before(let reign): "what was written before \(reign) after LSN \(keptUpTo) may be lost"
    }
  }
}

/// What a checker found.
package struct Violation: Equatable, Sendable, CustomStringConvertible {
  package let rule: String
  package let detail: String
  package init(_ rule: String, _ detail: String) {
    self.rule = rule
    self.detail = detail
  }
  package var description: String { "\(rule): \(detail)" }
}
