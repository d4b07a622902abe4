import Core
import Testing

@Suite struct TermHistoryTests {
  private static func history(_ entries: [(UInt32, UInt64)]) -> TermHistory {
    TermHistory(entries.map { .init(term: Term($0.0), firstLSN: LSN($0.1)) })!  // the tables below rise
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

  @Test func aTermWithoutRecordsIsReplaced() {
    var history = TermHistory()
    history.begin(Term(1), at: LSN(1))
    history.begin(Term(2), at: LSN(5))
    history.begin(Term(3), at: LSN(5))
    #expect(history.entries == [.init(term: Term(1), firstLSN: LSN(1)), .init(term: Term(3), firstLSN: LSN(5))])
    #expect(history.term(of: LSN(4)) == Term(1) && history.term(of: LSN(5)) == Term(3))
    #expect(history.term(of: LSN(0)) == nil)
  }

  @Test func entriesThatDoNotRiseAreRefused() {
    let bad: [[(UInt32, UInt64)]] = [
      [(1, 1), (1, 2)], [(2, 1), (1, 2)], [(1, 2), (2, 2)], [(1, 3), (2, 2)], [(0, 1)], [(1, 0)],
    ]
    for entries in bad {
      #expect(TermHistory(entries.map { TermHistory.Entry(term: Term($0.0), firstLSN: LSN($0.1)) }) == nil)
    }
  }
}
