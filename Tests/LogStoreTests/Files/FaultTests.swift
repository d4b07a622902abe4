import Core
import LogStore
import Simulator
import Testing

/// Makes the n-th call to the disk fail, for every n until the workload passes without meeting the fault.
@Suite struct FaultTests {
  @Test(arguments: [SimulatedFileSystem.Fault.inputOutput, SimulatedFileSystem.Fault.noSpace], [false, true])
  func noFailedCallLosesWhatWasAcknowledged(errno: Int32, powerCut: Bool) throws {
    var number = 1
    while true {
      let fired = try faultyRun(errno: errno, number: number, powerCut: powerCut)
      if !fired { break }
      number += TestScale.faultStep
    }
    #expect(number > 40, "the workload makes calls")
  }

  private func faultyRun(errno: Int32, number: Int, powerCut: Bool) throws -> Bool {
    let note = "call \(number), errno \(errno), power cut \(powerCut)"
    let disk = TestDisk(seed: UInt64(number), opsBufferBytes: 4096, databases: 2)
    var work = RandomWorkload(seed: 99, databases: 2)
    work.oversizePercent = 3
    let store = try disk.create()
    disk.files.setFault(.init(number: number, errno: errno))
    var durable = LSN.none
    for step in 0..<80 {
      if !work.step(store) {
        if errno == SimulatedFileSystem.Fault.inputOutput {
          guard case .failed = store.writeRefusal else {
            Issue.record("\(note): refuses with \(String(describing: store.writeRefusal))")
            break
          }
        }
      }
      if step % 3 == 0 {
        let result = store.commit(flush: step % 2 == 0)
        durable = max(durable, result.durable)
        store.positions.set(committed: result.durable)
      }
      if step % 7 == 0 {
        let maintained = store.maintain(neededFrom: LSN(.max))
        if maintained.segmentsChanged { try? disk.writeGeneration(store) }
      }
    }
    let fired = disk.files.faultFired
    disk.files.setFault(nil)
    if errno == SimulatedFileSystem.Fault.noSpace || !fired {
      // There is room again. Only a failed sync closes the store for good, whatever its reason.
      let result = store.commit(flush: true)
      durable = max(durable, result.durable)
      if case .failed(let why) = store.writeRefusal {
        #expect(why.contains("flush"), "\(note): \(why)")
      } else {
        #expect(store.writeRefusal == nil && result.durable == store.positions.appended, "\(note): resumes")
      }
    } else if case .failed = store.writeRefusal {
      #expect(
        !store.commit(flush: true).blocked && store.positions.durable == durable,
        "\(note): nothing more is acknowledged"
      )
    }
    work.model.check(store, at: work.model.last, "\(note), reads go on")
    powerCut ? disk.files.crash() : disk.files.killProcess()
    do {
      let again = try disk.open()
      let last = again.positions.applied
      #expect(last >= durable && last <= work.model.last, "\(note): \(last) is not in \(durable)...\(work.model.last)")
      work.model.check(again, at: last, "\(note), reopened")
    } catch {
      Issue.record("\(note): \(error)")
    }
    return fired
  }

  @Test func theStoreStaysClosedAfterAFailedSync() throws {
    for errno in [SimulatedFileSystem.Fault.inputOutput, SimulatedFileSystem.Fault.noSpace] {
      let disk = TestDisk()
      let store = try disk.create()
      store.put("a", "1")
      disk.files.setFault(.init(call: .flush, number: 1, errno: errno))
      #expect(store.commit(flush: true).durable == .none)
      #expect(!store.isWritable)
      for _ in 0..<3 { #expect(store.commit(flush: true).durable == .none) }
      guard case .failed(let why) = store.writeRefusal else {
        Issue.record("not closed")
        continue
      }
      #expect(why.contains("flush"))
      #expect(store.get("a") == .text("1"))
    }
  }

  @Test func writesAreTakenAgainWhenThereIsRoomAgain() throws {
    let disk = TestDisk()
    let store = try disk.create()
    var n = 0
    while true {
      store.put("key\(n)", String(repeating: "v", count: 200))
      n += 1
      disk.files.limitCapacity(20_000)
      // Where no whole segment can be reserved, what waits is written first with less. Twice: not even that has room.
      if store.commit(flush: true).blocked, store.commit(flush: true).blocked { break }
      try #require(n < 1000)
    }
    #expect(!store.isWritable && store.get("key\(n - 1)") == .text(String(repeating: "v", count: 200)))
    #expect(store.positions.durable < store.positions.appended)
    #expect(store.commit(flush: true).blocked)
    disk.files.limitCapacity(.max)
    let result = store.commit(flush: true)
    #expect(!result.blocked && store.isWritable && result.durable == store.positions.appended)
    disk.files.crash()
    let again = try disk.open()
    #expect(again.keyCount(0) == n)
  }

  @Test func everyCallOfOpeningMayFailAndTheNextOpeningFindsEverything() throws {
    let disk = TestDisk(databases: 2)
    var work = RandomWorkload(seed: 4, databases: 2)
    let store = try disk.create()
    for _ in 0..<60 {
      _ = work.step(store)
      try disk.settle(store)
    }
    disk.files.killProcess()
    for number in 1... {
      let copy = TestDisk(copying: disk, files: disk.files.copy(seed: UInt64(number)))
      let index = try copy.files.list(disk.directory).first { $0.hasSuffix(".idx") }
      copy.files.flipBit(disk.directory + "/" + (try #require(index)), offset: 70)
      copy.files.setFault(.init(number: number, errno: SimulatedFileSystem.Fault.inputOutput))
      let opened = try? copy.open()
      guard copy.files.faultFired else {
        #expect(opened != nil)
        break
      }
      copy.files.setFault(nil)
      copy.files.crash()
      let again = try copy.open()
      #expect(again.positions.applied == work.model.last)
      work.model.check(again, at: work.model.last, "call \(number)")
    }
  }
}
