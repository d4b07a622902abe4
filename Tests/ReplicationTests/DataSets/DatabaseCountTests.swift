import Testing

@testable import Replication

@Suite struct DatabaseCountTests {
  private func atReign(own: Int, named: Int?, inForce: Int, used: Int = 0, isStart: Bool) -> Int {
    DatabaseCount.atReign(own: own, named: named, inForce: inForce, used: used, isStart: isStart)
  }

  @Test func aNewDataSetHasTheNumberOfItsFirstMaster() {
    #expect(atReign(own: 4, named: nil, inForce: 16, isStart: true) == 4)
    #expect(atReign(own: 32, named: nil, inForce: 16, isStart: true) == 32)
    #expect(atReign(own: 4, named: nil, inForce: 16, used: 9, isStart: true) == 9)
  }

  @Test func onlyAStartAsTheMasterRaisesIt() {
    #expect(atReign(own: 32, named: 16, inForce: 16, isStart: true) == 32)
    #expect(atReign(own: 32, named: 16, inForce: 16, isStart: false) == 16)
    #expect(atReign(own: 32, named: nil, inForce: 16, isStart: false) == 16)
  }

  @Test func nothingLowersIt() {
    #expect(atReign(own: 4, named: 16, inForce: 16, isStart: true) == 16)
    #expect(atReign(own: 4, named: 16, inForce: 16, isStart: false) == 16)
    // A log of a master that names no number.
    #expect(atReign(own: 4, named: nil, inForce: 20, used: 20, isStart: false) == 20)
  }

  @Test func whoIsNotHeardIsToldWhy() {
    func note(own: Int, inForce: Int, used: Int = 0, isMaster: Bool) -> String? {
      DatabaseCount.note(own: own, inForce: inForce, used: used, isMaster: isMaster)
    }
    #expect(note(own: 16, inForce: 16, isMaster: false) == nil)
    #expect(note(own: 16, inForce: 32, isMaster: false) == "a slave takes its master's number")
    #expect(note(own: 16, inForce: 32, used: 21, isMaster: true) == "it is never lowered, and database 20 is in use")
    #expect(note(own: 16, inForce: 32, used: 3, isMaster: true) == "it is never lowered")
    #expect(note(own: 32, inForce: 16, isMaster: true) == "a master raises it when it is started with a higher number")
  }
}
