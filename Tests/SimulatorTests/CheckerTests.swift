import Core
import RESP
import Testing

@testable import Simulator

@Suite struct CheckerTests {
  private func at(_ term: UInt32, _ lsn: UInt64) -> Position { Position(reign(term), lsn: LSN(lsn)) }
  private func branch(_ entries: (UInt32, UInt64)...) -> TermHistory {
    TermHistory(entries.map { .init(reign($0.0), firstLSN: LSN($0.1)) }) ?? TermHistory()
  }

  // MARK: What a transaction wrote

  @Test func whatATransactionRefusedWroteNothing() {
    let command = ClientCommand(.exec, ["a", "b"], ["1:", "2:"], sentAt: 0)
    command.leaveOut(refused: [.error(.init("CORRUPT")), .simple("OK")])
    #expect(command.keys == ["b"] && command.values == ["2:"])
    #expect(command.records == 1 && !command.mayChangeNothing)
    command.leaveOut(refused: [.error(.init("CORRUPT"))])
    #expect(command.records == 0 && command.mayChangeNothing)
  }

  // MARK: AcknowledgedChecker

  @Test func whatIsKeptIsFine() {
    var checker = AcknowledgedChecker()
    checker.acknowledge(at(1, 5), "SET a")
    checker.show(at(1, 6), "GET a")
    #expect(checker.check(against: branch((1, 1)), endingAt: LSN(6)).isEmpty)
    #expect(checker.check(against: branch((1, 1), (2, 7)), endingAt: LSN(20)).isEmpty)
  }

  @Test func aLostWriteAndADirtyReadAreFound() {
    var checker = AcknowledgedChecker()
    checker.acknowledge(at(1, 5), "SET a")
    checker.show(at(1, 6), "GET a")
    // The log ends too early.
    #expect(
      checker.check(against: branch((1, 1)), endingAt: LSN(4)).map(\.rule) == ["acknowledged write lost", "dirty read"])
    // Another record has taken the LSN.
    #expect(checker.check(against: branch((1, 1), (2, 6)), endingAt: LSN(9)).map(\.rule) == ["dirty read"])
  }

  @Test func aPermittedLossExcusesOnlyWhatItCut() {
    var checker = AcknowledgedChecker()
    checker.acknowledge(at(1, 5), "SET a")
    checker.acknowledge(at(1, 3), "SET b")
    checker.acknowledge(at(2, 5), "SET c")
    checker.permit(PermittedLoss(.before(reign(2)), keptUpTo: LSN(3)))
    #expect(checker.check(against: branch((1, 1), (2, 4)), endingAt: LSN(9)).isEmpty)
    #expect(
      checker.check(against: branch((1, 1), (3, 3)), endingAt: LSN(9)).map(\.detail) == [
        "SET b at 1:3", "SET c at 2:5",
      ])
  }

  @Test func aLossOfWhatIsToldLaterExcusesNothingThatWasToldBefore() {
    var checker = AcknowledgedChecker()
    checker.acknowledge(at(1, 5), "SET a")
    checker.show(at(1, 5), "GET a")
    checker.permit(PermittedLoss(.only(reign(1)), keptUpTo: LSN(4)), ofWhatIsToldLater: true)
    checker.acknowledge(at(1, 6), "SET b")
    checker.show(at(1, 6), "GET b")
    #expect(
      checker.check(against: branch((1, 1)), endingAt: LSN(4)).map(\.detail) == ["SET a at 1:5", "GET a at 1:5"])
    #expect(checker.isPermitted(at(1, 5)) && !checker.isPermitted(at(1, 4)) && !checker.isPermitted(at(2, 5)))
  }

  // MARK: VisibilityChecker

  @Test func whatNoMasterCalledGoodIsShownTooEarly() {
    var checker = VisibilityChecker()
    let history = branch((1, 1), (2, 8))
    checker.isGood(upTo: LSN(5), in: branch((1, 1)))
    #expect(checker.tooEarly(LSN(5), in: history) { _ in false } == nil)
    #expect(checker.tooEarly(LSN(6), in: history) { _ in false } == at(1, 6))
    #expect(checker.tooEarly(LSN(6), in: history) { $0 == at(1, 6) } == nil)
    // A master of another history called another record good.
    checker.isGood(upTo: LSN(9), in: branch((1, 1), (3, 6)))
    #expect(checker.tooEarly(LSN(6), in: history) { _ in false } == at(1, 6))
    checker.isGood(upTo: LSN(9), in: history)
    #expect(checker.tooEarly(LSN(7), in: history) { _ in false } == nil)
    #expect(checker.tooEarly(LSN(10), in: history) { _ in false } == at(2, 10))
  }

  @Test func theFirstRecordOfATermShowsNothingButWhatStandsBeforeItDoes() {
    var checker = VisibilityChecker()
    let history = branch((1, 1), (2, 8), (3, 9))
    checker.isGood(upTo: LSN(6), in: history)
    #expect(checker.tooEarly(LSN(9), in: history) { _ in false } == at(1, 7))
    checker.isGood(upTo: LSN(7), in: history)
    #expect(checker.tooEarly(LSN(9), in: history) { _ in false } == nil)
    #expect(checker.tooEarly(LSN(10), in: history) { _ in false } == at(3, 10))
    #expect(VisibilityChecker().tooEarly(LSN(1), in: history) { _ in false } == nil)
  }

  @Test func anAsyncRecordOnItsMastersDiskIsGoodBehindWhatIsGood() {
    var checker = VisibilityChecker()
    let history = branch((1, 1))
    func early(_ lsn: UInt64, good: Set<Position>) -> Position? {
      checker.tooEarly(LSN(lsn), in: history, mayBeLost: { _ in false }, isGoodByItself: { good.contains($0) })
    }
    // Nothing is known of what stands before it.
    #expect(early(6, good: [at(1, 6)]) == at(1, 6))
    checker.isGood(upTo: LSN(5), in: history)
    #expect(early(6, good: [at(1, 6)]) == nil)
    #expect(early(7, good: [at(1, 6), at(1, 7)]) == nil)
    #expect(early(7, good: [at(1, 7)]) == at(1, 7))
  }

  // MARK: WrittenHistory, PrefixChecker

  private var history: WrittenHistory {
    var history = WrittenHistory()
    history.wrote("a", "one", at: at(1, 2))
    history.wrote("a", "two", at: at(1, 5))
    history.wrote("a", nil, at: at(1, 7))
    history.wrote("a", "three", at: at(2, 6))
    return history
  }

  @Test func anLSNOfAHistoryNamesOneState() {
    let old = branch((1, 1))
    #expect(history.newest("a", upTo: LSN(1), in: old) == nil)
    #expect(history.newest("a", upTo: LSN(4), in: old)?.value == "one")
    #expect(history.newest("a", upTo: LSN(6), in: old)?.value == "two")
    #expect(history.newest("a", upTo: LSN(9), in: old)?.value == nil)
    #expect(history.newest("a", upTo: LSN(9), in: branch((1, 1), (2, 6)))?.value == "three")
    #expect(history.newest("a", upTo: LSN(9), in: branch((1, 1), (3, 4)))?.value == "one")
    #expect(history.newest("b", upTo: LSN(9), in: old) == nil)
  }

  @Test func onlyTheStateAtTheLSNIsAPrefix() {
    let checker = PrefixChecker()
    let old = branch((1, 1))
    #expect(checker.read("a", "one", node: 1, at: LSN(3), in: old, history) == nil)
    #expect(checker.read("a", "two", node: 1, at: LSN(3), in: old, history)?.rule == "not a prefix")
    #expect(checker.read("a", "one", node: 1, at: LSN(5), in: old, history)?.rule == "not a prefix")
    #expect(checker.read("a", nil, node: 1, at: LSN(5), in: old, history) != nil)
    #expect(checker.read("a", nil, node: 1, at: LSN(5), in: old, history, mayBeGone: true) == nil)
    #expect(checker.read("a", nil, node: 1, at: LSN(8), in: old, history) == nil)
  }

  @Test func visiblePositionsDoNotGoBack() {
    var checker = PrefixChecker()
    let never: (Position) -> Bool = { _ in false }
    #expect(checker.visible(at(1, 5), node: 0, mayGoBack: never) == nil)
    #expect(checker.visible(at(1, 5), node: 0, mayGoBack: never) == nil)
    #expect(checker.visible(at(1, 4), node: 1, mayGoBack: never) == nil)
    #expect(checker.visible(at(2, 4), node: 0, mayGoBack: never)?.rule == "went back")
    #expect(checker.visible(at(2, 3), node: 0, mayGoBack: { $0.lsn == LSN(4) }) == nil)
    checker.restarted(0)
    #expect(checker.visible(at(2, 1), node: 0, mayGoBack: never) == nil)
  }
}

/// Of node n, whose id is that byte 20 times.
func reign(_ term: UInt32, of n: UInt8 = 1) -> Reign {
  Reign(term: Term(term), owner: NodeID(random: [UInt8](repeating: n, count: NodeID.byteCount)))
}

@Suite struct ReignCheckerTests {
  private func entry(_ term: UInt32, of owner: UInt8, _ lsn: UInt64) -> TermHistory.Entry {
    TermHistory.Entry(reign(term, of: owner), firstLSN: LSN(lsn))
  }

  @Test func aReignHasOneBeginningAndOneNode() {
    var checker = ReignChecker()
    #expect(checker.reigns(0, entry(1, of: 1, 1), byVotes: false) == nil)
    #expect(checker.reigns(0, entry(1, of: 1, 1), byVotes: false) == nil)
    #expect(checker.reigns(0, entry(1, of: 1, 2), byVotes: false)?.rule == "a reign began twice")
    #expect(checker.reigns(1, entry(1, of: 1, 1), byVotes: false)?.rule == "one owner for two")
    // Its directory was emptied: it is another node, and begins anew.
    #expect(checker.reigns(0, entry(1, of: 2, 1), byVotes: false) == nil)
  }

  @Test func twoNodesMayReignInATermOnlyWhereNobodyVotes() {
    for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
      var checker = ReignChecker()
      #expect(checker.reigns(0, entry(2, of: 1, 5), byVotes: first) == nil)
      let violation = checker.reigns(1, entry(2, of: 2, 5), byVotes: second)
      #expect((violation?.rule == "two masters in one term") == (first || second))
      #expect(checker.sharedTerms == 1)
    }
  }
}
