/// One command on one key, as its client saw it. Values are unique numbers; 0 stands for "no such key".
package struct RegisterOperation: Equatable, Sendable {
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
  package init(_ kind: Kind, invoked: UInt64, completed: UInt64?) {
    self.kind = kind
    self.invoked = invoked
    self.completed = completed
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
/// A search with a memory of where it has been (J. Wing, C. Gong, 1993; G. Lowe, 2017). Fast for histories whose
/// operations overlap little; exponential in the number of operations that overlap.
package enum LinearizabilityChecker {
  package enum Verdict: Equatable, Sendable {
    case linearizable
    /// No order explains these: the shortest beginning of the history that no order explains ends with this operation.
    case violated(RegisterOperation)
    /// Too many operations overlap.
    case tooComplex
  }

  package static func check(_ history: [RegisterOperation], initially: Int = 0, stepsMax: Int = 1_000_000) -> Verdict {
    let seen = Set(history.compactMap(\.seen))
    // A deletion that found something does not say what.
    let anyMayBeSeen = history.contains { $0.kind == .delete(existed: true) }
    let operations = history.filter { operation in
      guard operation.completed == nil else { return true }
      // Without a reply and without a trace: it may just as well not have happened.
      switch operation.kind {
      case .read: return false
      case .delete: return true
      case .write(let new), .exchange(let new, _): return anyMayBeSeen || seen.contains(new)
      }
    }
    .enumerated().sorted { ($0.element.invoked, $0.offset) < ($1.element.invoked, $1.offset) }.map(\.element)
    var search = Search(operations: operations, stepsLeft: stepsMax)
    return search.run(from: initially)
  }

  private struct State: Hashable {
    /// Everything before this operation, in the order of sending, has happened.
    var first: Int
    /// What of the later ones has happened, as places behind `first`.
    var ahead: [UInt64]
    var value: Int
  }

  private struct Search {
    let operations: [RegisterOperation]
    var stepsLeft: Int
    var been: Set<State> = []
    /// How far the best order came: the operation that had to come next and could not.
    var furthest = -1
    var culprit: RegisterOperation?

    init(operations: [RegisterOperation], stepsLeft: Int) {
      self.operations = operations
      self.stepsLeft = stepsLeft
    }

    mutating func run(from value: Int) -> Verdict {
      var stack = [State(first: 0, ahead: [], value: value)]
      been.insert(stack[0])
      while let state = stack.popLast() {
        stepsLeft -= 1
        if stepsLeft < 0 { return .tooComplex }
        guard let (candidates, deadline) = open(state) else { return .linearizable }
        if deadline > furthest {
          furthest = deadline
          culprit = operations[deadline]
        }
        for index in candidates.reversed() {
          guard let value = operations[index].applied(to: state.value) else { continue }
          let next = happened(index, state, value)
          if been.insert(next).inserted { stack.append(next) }
        }
      }
      return culprit.map(Verdict.violated) ?? .linearizable
    }

    /// Which operations may come next, and the one that ends first and so bounds them; nil if all that have replies have
    /// happened.
    func open(_ state: State) -> (candidates: [Int], endsFirst: Int)? {
      var candidates: [Int] = []
      var endsFirst: Int?
      var end = UInt64.max
      for index in state.first..<operations.count {
        let operation = operations[index]
        if operation.invoked > end { break }
        if Self.has(index, state) { continue }
        candidates.append(index)
        if let completed = operation.completed, completed < end {
          end = completed
          endsFirst = index
        }
      }
      guard let endsFirst else { return nil }
      return (candidates.filter { operations[$0].invoked <= end }, endsFirst)
    }

    static func has(_ index: Int, _ state: State) -> Bool {
      let place = index - state.first
      return place / 64 < state.ahead.count && state.ahead[place / 64] >> UInt64(place % 64) & 1 == 1
    }

    func happened(_ index: Int, _ state: State, _ value: Int) -> State {
      var places = (state.first..<operations.count).prefix { $0 - state.first < state.ahead.count * 64 }
        .filter { Self.has($0, state) }
      places.append(index)
      var first = state.first
      let done = Set(places)
      while done.contains(first) { first += 1 }
      var ahead: [UInt64] = []
      for place in places where place >= first {
        let word = (place - first) / 64
        while ahead.count <= word { ahead.append(0) }
        ahead[word] |= 1 << UInt64((place - first) % 64)
      }
      return State(first: first, ahead: ahead, value: value)
    }
  }
}
