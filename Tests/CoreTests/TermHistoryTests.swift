import Core
import Testing

@Suite struct TermHistoryTests {
  private static func history(_ entries: [(UInt32, UInt64)]) -> TermHistory {
    TermHistory(entries.map { .init(reign($0.0), firstLSN: LSN($0.1)) })!  // the tables below rise
  }

  struct Case: Sendable {
    let name: String
    let a: [(UInt32, UInt64)]
    let aLast: UInt64
    let b: [(UInt32, UInt64)]
    let bLast: UInt64
    let common: UInt64
  }
  static let cases = [
    Case(name: "both empty", a: [], aLast: 0, b: [], bLast: 0, common: 0),
    Case(name: "one empty", a: [(1, 1)], aLast: 9, b: [], bLast: 0, common: 0),
    Case(name: "the same", a: [(1, 1)], aLast: 9, b: [(1, 1)], bLast: 9, common: 9),
    Case(name: "one behind", a: [(1, 1)], aLast: 9, b: [(1, 1)], bLast: 5, common: 5),
    Case(name: "a new term after all of it", a: [(1, 1)], aLast: 9, b: [(1, 1), (2, 10)], bLast: 20, common: 9),
    Case(
      name: "a new term before the old one's tail", a: [(1, 1)], aLast: 9, b: [(1, 1), (2, 8)], bLast: 20, common: 7),
    Case(name: "different second terms", a: [(1, 1), (2, 10)], aLast: 30, b: [(1, 1), (3, 15)], bLast: 30, common: 9),
    Case(
      name: "the same term begun elsewhere", a: [(1, 1), (2, 10)], aLast: 30, b: [(1, 1), (2, 12)], bLast: 30, common: 9
    ),
    Case(name: "nothing in common", a: [(1, 1)], aLast: 9, b: [(2, 1)], bLast: 9, common: 0),
    Case(
      name: "three terms, one behind in the last", a: [(1, 1), (2, 10), (5, 20)], aLast: 22,
      b: [(1, 1), (2, 10), (5, 20)], bLast: 40, common: 22),
    Case(
      name: "the last term of one is unknown to the other", a: [(1, 1), (2, 10), (3, 20)], aLast: 25,
      b: [(1, 1), (2, 10), (4, 18)], bLast: 40, common: 17),
    Case(
      name: "a log that ends before its last term", a: [(1, 1), (2, 10)], aLast: 5, b: [(1, 1), (2, 10)], bLast: 30,
      common: 5),
  ]

  @Test(arguments: cases)
  func theLastCommonLSNIsTheSameSeenFromBothSides(_ c: Case) {
    let (a, b) = (Self.history(c.a), Self.history(c.b))
    #expect(a.lastCommonLSN(endingAt: LSN(c.aLast), with: b, endingAt: LSN(c.bLast)) == LSN(c.common), "\(c.name)")
    #expect(b.lastCommonLSN(endingAt: LSN(c.bLast), with: a, endingAt: LSN(c.aLast)) == LSN(c.common), "\(c.name)")
  }

  @Test func theSameTermOfAnotherOwnerIsAnotherReign() {
    func history(_ entries: [(Reign, UInt64)]) -> TermHistory {
      TermHistory(entries.map { .init($0.0, firstLSN: LSN($0.1)) })!  // the lists below rise
    }
    let own = history([(reign(1), 1), (reign(2, of: 1), 10)])
    let other = history([(reign(1), 1), (reign(2, of: 3), 10)])
    func common(_ a: TermHistory, _ b: TermHistory) -> UInt64 {
      let found = a.lastCommonLSN(endingAt: LSN(30), with: b, endingAt: LSN(40)).value
      #expect(b.lastCommonLSN(endingAt: LSN(40), with: a, endingAt: LSN(30)).value == found)
      return found
    }
    #expect(common(own, own) == 30)
    #expect(common(own, other) == 9)
    // Nobody knows whose it is: it may be another's, however equal it looks.
    let unknown = history([(reign(1), 1), (Reign(term: Term(2), owner: .unknown), 10)])
    #expect(unknown == unknown && common(unknown, unknown) == 9)
    #expect(common(own, unknown) == 9)
    #expect(own.position(at: LSN(12)) == Position(reign(2, of: 1), lsn: LSN(12)))
    #expect(own.position(at: .none) == .none)
    #expect(other.owner(of: Term(2)) == reign(2, of: 3).owner && other.owner(of: Term(3)) == .unknown)
    #expect(own.upTo(LSN(9)) == history([(reign(1), 1)]) && own.upTo(LSN(10)) == own)
  }

  /// A newer term counts more than any owner, the owner more than any LSN; every node orders them alike.
  @Test func reignsAndPositionsHaveOneOrder() {
    let rising = [
      Position.none, Position(Reign(term: Term(1), owner: .unknown), lsn: LSN(500)),
      Position(reign(1, of: 1), lsn: LSN(9)),
      Position(reign(1, of: 1), lsn: LSN(10)), Position(reign(1, of: 2), lsn: LSN(1)),
      Position(Reign(term: Term(1), owner: .largest), lsn: LSN(1)), Position(reign(2, of: 1), lsn: LSN(1)),
    ]
    for (i, a) in rising.enumerated() {
      for (j, b) in rising.enumerated() {
        #expect((a < b) == (i < j) && (a == b) == (i == j), "\(a.reign) \(a), \(b.reign) \(b)")
        #expect((a.reign < b.reign) == (i < j && a.reign != b.reign))
      }
    }
    let unknown = Position(Reign(term: Term(1), owner: .largest), lsn: LSN(10))
    #expect(Position(reign(1, of: 7), lsn: LSN(10)).reaches(unknown))
    #expect(!Position(reign(1, of: 7), lsn: LSN(9)).reaches(unknown))
    #expect(Position(reign(2, of: 1), lsn: LSN(1)).reaches(unknown))
    #expect(!Position(reign(1, of: 1), lsn: LSN(99)).reaches(Position(reign(1, of: 2), lsn: LSN(5))))
  }

  @Test func whatTheLogSaysReplacesWhatWasWrittenDownOfALostTail() {
    var history = TermHistory()
    history.begin(reign(1), at: LSN(1))
    history.begin(reign(3, of: 1), at: LSN(50))
    history.begin(reign(4, of: 1), at: LSN(60))
    let before = history
    history.found(reign(3, of: 1), at: LSN(50))
    #expect(history == before)
    history.found(reign(3, of: 2), at: LSN(41))
    #expect(history.entries == [.init(reign(1), firstLSN: LSN(1)), .init(reign(3, of: 2), firstLSN: LSN(41))])
    history.found(reign(5), at: LSN(70))
    #expect(history.last == .init(reign(5), firstLSN: LSN(70)))
  }

  @Test func aTermWithoutRecordsIsReplaced() {
    var history = TermHistory()
    history.begin(reign(1), at: LSN(1))
    history.begin(reign(2), at: LSN(5))
    history.begin(reign(3), at: LSN(5))
    #expect(history.entries == [.init(reign(1), firstLSN: LSN(1)), .init(reign(3), firstLSN: LSN(5))])
    #expect(history.term(of: LSN(4)) == Term(1) && history.term(of: LSN(5)) == Term(3))
    #expect(history.term(of: LSN(0)) == nil)
  }

  @Test func entriesThatDoNotRiseAreRefused() {
    let bad: [[(UInt32, UInt64)]] = [
      [(1, 1), (1, 2)], [(2, 1), (1, 2)], [(1, 2), (2, 2)], [(1, 3), (2, 2)], [(0, 1)], [(1, 0)],
    ]
    for entries in bad {
      #expect(TermHistory(entries.map { TermHistory.Entry(reign($0.0), firstLSN: LSN($0.1)) }) == nil)
    }
  }
}

/// Of node n, whose id is that byte 20 times.
func reign(_ term: UInt32, of n: UInt8 = 1) -> Reign {
  Reign(term: Term(term), owner: NodeID(random: [UInt8](repeating: n, count: NodeID.byteCount)))
}
