/// One command on one key, as its client saw it. Values are unique numbers; 0 stands for "no such key".
package struct RegisterOperation: Equatable, Sendable, CustomStringConvertible {
  package enum Kind: Equatable, Sendable {
    case write(Int)
    case read(Int)
    /// `existed`: what the reply said; nil if there was none.
    case delete(existed: Bool?)
    /// `old`: what the reply said; nil if there was none.
    case exchange(new: Int, old: Int?)
  }
  package var kind: Kind
  /// When it was sent and when its reply came, on the simulation's clock; nil: its outcome is unknown.
  package var invoked: UInt64
  package var completed: UInt64?
  /// Operations of one line (a connection) happen in the order of the history; nil: a line of its own.
  package var line: Int?
  /// Where it may well stand in the order: operations are tried from the lowest on. Decides nothing.
  package var hint: UInt64
  package init(_ kind: Kind, invoked: UInt64, completed: UInt64?, line: Int? = nil, hint: UInt64 = 0) {
    self.kind = kind
    self.invoked = invoked
    self.completed = completed
    self.line = line
    self.hint = hint
  }

  package var description: String {
    let what =
      switch kind {
      case .write(let new): "writes \(new)"
      case .read(let value): "reads \(value)"
      case .delete(let existed): "deletes, found \(existed.map { "\($0)" } ?? "unknown")"
      case .exchange(let new, let old): "writes \(new), found \(old.map { "\($0)" } ?? "unknown")"
      }
    return "\(what) from \(invoked) to \(completed.map { "\($0)" } ?? "unknown")"
  }

  /// The value after it, or nil if it cannot come after `value`.
  func applied(to value: Int) -> Int? {
    switch kind {
    case .write(let new): new
    case .read(let seen): seen == value ? value : nil
    case .delete(let existed): existed == nil || existed == (value != 0) ? 0 : nil
    case .exchange(let new, let old): old == nil || old == value ? new : nil
    }
  }

  var written: Int? {
    switch kind {
    case .write(let new), .exchange(let new, _): new
    case .read, .delete: nil
    }
  }
  var seen: Int? {
    switch kind {
    case .read(let value): value
    case .exchange(_, let old): old
    case .write, .delete: nil
    }
  }
}

/// Whether the operations on one key can be put in one order that every client's view agrees with: each at a moment
/// between its sending and its reply (M. Herlihy, J. Wing, 1990). Those without a reply may have happened at any time
/// after they were sent, or not at all.
///
/// A search with a memory of where it has been (J. Wing, C. Gong, 1993; G. Lowe, 2017). Linear with good hints; without
/// them, and for a history that has no order, exponential in the number of lines that overlap.
package enum LinearizabilityChecker {
  package enum Verdict: Equatable, Sendable {
    case linearizable
    /// No order explains these. The operation is one that no order came past.
    case violated(RegisterOperation)
    /// Too many operations overlap.
    case tooComplex
  }

  package static func check(_ history: [RegisterOperation], initially: Int = 0, stepsMax: Int = 200_000) -> Verdict {
    let seen = Set(history.compactMap(\.seen))
    // A deletion that found something does not say what.
    let anyMayBeSeen = history.contains { $0.kind == .delete(existed: true) }
    var lines: [[RegisterOperation]] = []
    var places: [Int: Int] = [:]
    for operation in history {
      if operation.completed == nil {
        // Without a reply and without a trace: it may just as well not have happened.
        switch operation.kind {
        case .read: continue
        case .delete: break
        case .write(let new), .exchange(let new, _): if !anyMayBeSeen, !seen.contains(new) { continue }
        }
      }
      if let line = operation.line, let place = places[line] {
        lines[place].append(operation)
      } else {
        if let line = operation.line { places[line] = lines.count }
        lines.append([operation])
      }
    }
    return Search(lines: lines, stepsLeft: stepsMax).run(from: initially)
  }

  private struct State: Hashable {
    /// What comes next in each line.
    var next: [Int]
    var value: Int
  }

  private struct Search {
    let lines: [[RegisterOperation]]
    let stepsLeft: Int

    func run(from value: Int) -> Verdict {
      var stepsLeft = stepsLeft
      var stack = [State(next: Array(repeating: 0, count: lines.count), value: value)]
      var been: Set<State> = []
      var furthest = -1
      var culprit: RegisterOperation?
      while var state = stack.popLast() {
        stepsLeft -= 1
        if stepsLeft < 0 { return .tooComplex }
        takeWhatChangesNothing(&state)
        guard been.insert(state).inserted else { continue }
        guard let (end, first) = deadline(state) else { return .linearizable }
        let depth = state.next.reduce(0, +)
        if depth > furthest { (furthest, culprit) = (depth, first) }
        var candidates: [(hint: UInt64, state: State)] = []
        for line in lines.indices {
          var place = state.next[line]
          while place < lines[line].count, lines[line][place].invoked <= end {
            let operation = lines[line][place]
            if let value = operation.applied(to: state.value) {
              var next = state
              next.next[line] = place + 1
              next.value = value
              candidates.append((operation.hint, next))
            }
            // What has no reply may not have happened: then what is behind it may come.
            guard operation.completed == nil else { break }
            place += 1
          }
        }
        candidates.sort { $0.hint > $1.hint }
        stack.append(contentsOf: candidates.map(\.state))
      }
      return culprit.map(Verdict.violated) ?? .linearizable
    }

    /// A read that fits, or a deletion of nothing, can come at once: no order is lost by it.
    private func takeWhatChangesNothing(_ state: inout State) {
      var isDone = false
      while !isDone {
        isDone = true
        guard let (end, _) = deadline(state) else { return }
        for line in lines.indices where state.next[line] < lines[line].count {
          let operation = lines[line][state.next[line]]
          guard operation.completed != nil, operation.invoked <= end, operation.written == nil,
            operation.applied(to: state.value) == state.value
          else { continue }
          state.next[line] += 1
          isDone = false
        }
      }
    }

    /// The end of whatever ends first: nothing that was sent later can come before it. nil if everything with a reply has
    /// happened.
    private func deadline(_ state: State) -> (UInt64, RegisterOperation)? {
      var first: RegisterOperation?
      for line in lines.indices {
        for operation in lines[line][state.next[line]...] {
          guard let completed = operation.completed else { continue }
          if completed < first?.completed ?? .max { first = operation }
          break
        }
      }
      return first.flatMap { operation in operation.completed.map { ($0, operation) } }
    }
  }
}
