import Testing

@testable import Simulator

@Suite struct LinearizabilityCheckerTests {
  private func op(_ kind: RegisterOperation.Kind, _ invoked: UInt64, _ completed: UInt64?) -> RegisterOperation {
    RegisterOperation(kind, invoked: invoked, completed: completed)
  }
  private func isGood(_ history: [RegisterOperation]) -> Bool {
    LinearizabilityChecker.check(history) == .linearizable
  }

  @Test func nothingIsLinearizable() { #expect(isGood([])) }

  @Test func readsInTurnSeeTheLastWrite() {
    #expect(isGood([op(.write(1), 0, 1), op(.read(1), 2, 3), op(.write(2), 4, 5), op(.read(2), 6, 7)]))
  }

  @Test func aReadOfAnOverwrittenValueIsFound() {
    let stale = op(.read(1), 6, 7)
    #expect(
      LinearizabilityChecker.check([op(.write(1), 0, 1), op(.write(2), 2, 3), stale]) == .violated(stale))
  }

  @Test func aLostWriteIsFound() { #expect(!isGood([op(.write(1), 0, 1), op(.read(0), 2, 3)])) }

  @Test func aReadBesideAWriteSeesEither() {
    #expect(isGood([op(.write(1), 0, 10), op(.read(0), 1, 2), op(.read(1), 3, 4)]))
    #expect(!isGood([op(.write(1), 0, 10), op(.read(1), 1, 2), op(.read(0), 3, 4)]))
  }

  @Test func aWriteWithoutAReplyMayHaveHappenedLaterOrNever() {
    #expect(isGood([op(.write(1), 0, 1), op(.write(2), 2, nil), op(.read(1), 5, 6), op(.read(2), 7, 8)]))
    #expect(isGood([op(.write(1), 0, 1), op(.write(2), 2, nil), op(.read(1), 5, 6)]))
    #expect(!isGood([op(.write(1), 0, 1), op(.write(2), 2, nil), op(.read(2), 5, 6), op(.read(1), 7, 8)]))
    #expect(!isGood([op(.read(2), 0, 1), op(.write(2), 2, nil)]))
  }

  @Test func deletesSayWhatTheyFound() {
    #expect(isGood([op(.write(1), 0, 1), op(.delete(existed: true), 2, 3), op(.read(0), 4, 5)]))
    #expect(!isGood([op(.write(1), 0, 1), op(.delete(existed: false), 2, 3)]))
    #expect(!isGood([op(.write(1), 0, 1), op(.delete(existed: true), 2, 3), op(.delete(existed: true), 4, 5)]))
    #expect(isGood([op(.write(1), 0, 1), op(.delete(existed: nil), 2, nil), op(.read(1), 3, 4), op(.read(0), 5, 6)]))
  }

  @Test func exchangesFormAChain() {
    #expect(
      isGood([
        op(.exchange(new: 1, old: 0), 0, 9), op(.exchange(new: 2, old: 1), 0, 9), op(.exchange(new: 3, old: 2), 0, 9),
      ]))
    // Two of them took the same value out.
    #expect(!isGood([op(.exchange(new: 1, old: 0), 0, 9), op(.exchange(new: 2, old: 0), 0, 9)]))
  }

  @Test func historiesMadeFromARegisterAreLinearizableAndSpoiledOnesAreNot() {
    for seed in UInt64(0)..<200 {
      var random = SplitMix64(seed: seed)
      var history: [RegisterOperation] = []
      var value = 0
      for number in 1...60 {
        // Takes effect at `moment`; seen from outside around it.
        let moment = UInt64(number) * 100
        let (begin, end) = (moment - UInt64(random.below(250)).clamped(to: moment), moment + UInt64(random.below(250)))
        switch random.below(4) {
        case 0:
          value = number
          history.append(op(.write(number), begin, random.chance(10) ? nil : end))
        case 1:
          history.append(op(.delete(existed: value != 0), begin, end))
          value = 0
        case 2:
          history.append(op(.exchange(new: number, old: value), begin, end))
          value = number
        default: history.append(op(.read(value), begin, end))
        }
      }
      let isGood = isGood(history)
      #expect(isGood, "seed \(seed)")
      // A value from the future, read and gone before it was written.
      history.append(op(.write(1000), 100_000, 100_001))
      history.append(op(.read(1000), 1, 2))
      let isSpoiledGood = self.isGood(history)
      #expect(!isSpoiledGood, "seed \(seed)")
    }
  }

  @Test func whatIsTooComplexIsSaid() {
    let many = (1...40).map { op(.write($0), 0, 100) } + [op(.read(41), 0, 100)]
    #expect(LinearizabilityChecker.check(many, stepsMax: 1000) == .tooComplex)
  }
}

extension UInt64 {
  fileprivate func clamped(to limit: UInt64) -> UInt64 { Swift.min(self, limit) }
}
