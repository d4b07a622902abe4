import Core
import Testing

@testable import Replication

@Suite struct ProofTests {
  static func digest(_ sum: UInt64) -> Digest {
    Digest(lsn: LSN(100), ranges: [.init(id: .init(database: 0, table: 1), sum: sum, liveRecords: 7)])
  }

  @Test func theBodiesComeBackAsTheyWere() throws {
    let piece = try #require(LogPiece(after: LSN(10), upTo: LSN(500)))
    #expect(piece.first == LSN(437) && piece.last == LSN(500))
    #expect(LogPiece(after: LSN(10), upTo: LSN(10)) == nil)
    #expect(LogPiece(after: .none, upTo: LSN(3))?.first == LSN(1))
    for question in [
      ProofQuestion(number: 7, digestLSN: LSN(500), piece: piece),
      ProofQuestion(number: 1, digestLSN: LSN(3), piece: nil),
    ] {
      #expect(try ProofQuestion.decode(question.encoded()) == question)
    }
    for shown in [ProofAnswer.Shown.digest(5), .log(.max), .passed, .other(9)] {
      let answer = ProofAnswer(number: 7, shown: shown)
      #expect(try ProofAnswer.decode(answer.encoded()) == answer)
    }
    var wide = ProofQuestion(number: 7, digestLSN: LSN(500), piece: piece).encoded()
    wide[13] = 0
    wide[14] = 0
    #expect(throws: FrameError.self) { try ProofQuestion.decode(wide) }
    #expect(throws: FrameError.self) { try ProofAnswer.decode([1, 0, 0]) }
  }

  @Test func theDataIsShownByTheSameDigest() {
    var round = ProofRound()
    #expect(round.isDue(now: at(0)) && round.shown == .none)
    let question = round.ask(Self.digest(5), nil, log: nil)
    #expect(!round.isDue(now: at(0)))
    let answer = ProofAnswer(number: question.number, shown: .digest(Self.digest(5).summary(for: question.number)))
    #expect(round.answered(answer, now: at(1)) == .shows(.data) && round.shown == .data)
    #expect(!round.isDue(now: at(100_000)))
    #expect(round.answered(answer, now: at(1)) == .ignored)
  }

  @Test func anotherDigestAnotherQuestionsOrOneThatIsMadeUpShowsNothing() {
    var round = ProofRound()
    let first = round.ask(Self.digest(5), nil, log: nil)
    let late = ProofAnswer(number: first.number &+ 1, shown: .digest(Self.digest(5).summary(for: first.number)))
    #expect(round.answered(late, now: at(1)) == .ignored)
    let wrong = ProofAnswer(number: first.number, shown: .digest(Self.digest(6).summary(for: first.number)))
    #expect(round.answered(wrong, now: at(1)) == .differs && round.shown == .none)
    #expect(!round.isDue(now: at(2)) && round.isDue(now: at(2000)))
    let second = round.ask(Self.digest(5), nil, log: nil)
    let repeated = ProofAnswer(number: second.number, shown: .digest(Self.digest(5).summary(for: first.number)))
    #expect(round.answered(repeated, now: at(1)) == .differs)
    // A piece of log that nobody asked for.
    _ = round.ask(Self.digest(5), nil, log: nil)
    #expect(round.answered(ProofAnswer(number: 3, shown: .log(0)), now: at(1)) == .ignored)
  }

  @Test func theEndOfTheLogCountsUntilTheDataIsShown() throws {
    var round = ProofRound()
    let piece = try #require(LogPiece(after: LSN(90), upTo: LSN(100)))
    let question = round.ask(Self.digest(5), piece, log: 77)
    #expect(question.piece == piece)
    #expect(round.answered(ProofAnswer(number: 1, shown: .log(77)), now: at(1)) == .shows(.log))
    #expect(!round.isDue(now: at(1)))
    #expect(round.answered(ProofAnswer(number: 1, shown: .passed), now: at(1)) == .passed)
    #expect(round.isDue(now: at(1)) && round.shown == .log)
    _ = round.ask(Self.digest(5), piece, log: 77)
    #expect(round.answered(ProofAnswer(number: 2, shown: .log(78)), now: at(1)) == .differs)
  }
}
