import Core
import LogStore
import Replication
import Simulator
import Synchronization
import Testing

@testable import Node

/// A node's vote is kept twice, beside the generations: what damages one file loses no vote.
@Suite struct VoteCopiesTests {
  private static let first = NodeID(random: [UInt8](repeating: 0xA, count: NodeID.byteCount))
  private static let second = NodeID(random: [UInt8](repeating: 0xB, count: NodeID.byteCount))
  private static func vote(_ term: UInt32, for candidate: NodeID = first) -> DirectoryFile.Vote {
    .init(term: Term(term), candidate: candidate)
  }
  private final class Flag: Sendable {
    let isSet = Mutex(false)
  }
  private static let copies = VoteFile.names.map { "data/\($0)" }

  private func open(_ files: SimulatedFileSystem) throws -> DataDirectory {
    try DataDirectoryTests.open(files).directory
  }

  /// What the rule for votes says to another candidate in that term.
  private func answer(_ directory: DataDirectory, to candidate: NodeID, in term: UInt32) -> VoteAnswer {
    let vote = directory.current.vote
    var state = VoterState(
      id: directory.node, lineage: directory.lineage,
      vote: vote.candidate.map { Vote(term: vote.term, candidate: $0) }, knownTerm: vote.term, last: .none)
    state.unsureUpTo = directory.unsureUpTo
    let address = NodeAddress(host: "a", port: 7400)!
    return VoteRule.answer(
      VoteRequest(
        term: Term(term), candidate: candidate, address: address, last: .none, lineage: directory.lineage,
        isForced: true), state)
  }

  private static func flipped(_ bytes: [UInt8], at index: Int, _ mask: UInt8) -> [UInt8] {
    var bytes = bytes
    bytes[index] ^= mask
    return bytes
  }
  private static let damages: [(String, @Sendable ([UInt8]) -> [UInt8]?)] = [
    ("head", { flipped($0, at: 0, 0xFF) }), ("a bit of the head", { flipped($0, at: 0, 1) }),
    ("middle", { flipped($0, at: $0.count / 2, 0x10) }), ("cut", { Array($0.prefix($0.count / 2)) }),
    ("empty", { _ in [] }), ("longer", { $0 + [0] }), ("zeros", { [UInt8](repeating: 0, count: $0.count) }),
    ("deleted", { _ in nil }),
  ]

  private func put(_ bytes: [UInt8]?, at path: String, in files: SimulatedFileSystem) throws {
    if let bytes { files.setContents(path, bytes) } else { try files.unlink(path) }
  }

  @Test func noDamageOfOneFileLosesAVote() throws {
    for (what, damage) in Self.damages {
      for target in 0..<3 {
        let files = SimulatedFileSystem()
        let directory = try open(files)
        for term in [UInt32(3), 50] { try directory.write(vote: Self.vote(term)) }
        let newest = "data/\(DirectoryFile.name(directory.current.generation))"
        files.killProcess()
        let path = target < 2 ? Self.copies[target] : newest
        try put(damage(files.contents(path)!), at: path, in: files)
        let again = try open(files)
        #expect(again.current.vote == Self.vote(50), "\(what) of \(path)")
        #expect(again.unsureUpTo == .none && again.voteDoubt == nil, "\(what) of \(path)")
        #expect(!answer(again, to: Self.second, in: 50).reply.isGranted, "\(what) of \(path)")
        #expect(answer(again, to: Self.first, in: 50).reply.isGranted, "\(what) of \(path)")
        #expect(answer(again, to: Self.second, in: 51).reply.isGranted, "\(what) of \(path)")
        // It is whole again: the next damage, of the other file, finds a good copy.
        files.killProcess()
        let other = Self.copies[target == 0 ? 1 : 0]
        try put(damage(files.contents(other)!), at: other, in: files)
        #expect(try open(files).current.vote == Self.vote(50), "\(what) of \(path), then of \(other)")
      }
    }
  }

  @Test func withoutACopyItNeitherVotesNorStandsWhereItMayHave() throws {
    for (what, damage) in Self.damages {
      let files = SimulatedFileSystem()
      let directory = try open(files)
      try directory.write(vote: Self.vote(40))
      try directory.write(vote: Self.vote(50))
      try directory.write(vote: Self.vote(52))
      files.killProcess()
      for path in Self.copies { try put(damage(files.contents(path)!), at: path, in: files) }
      for _ in 0..<2 {
        let again = try open(files)
        #expect(again.unsureUpTo >= Term(52) && again.unsureUpTo <= Term(100), "\(what): \(again.unsureUpTo)")
        for term in [UInt32(50), 51, 52] {
          for candidate in [Self.first, Self.second] {
            let reply = answer(again, to: candidate, in: term).reply
            let saysSo = reply.reason.contains("cannot be sure how it voted")
            #expect(!reply.isGranted && saysSo, "\(what): \(reply.reason)")
          }
        }
        #expect(answer(again, to: Self.second, in: 101).reply.isGranted, "\(what)")
        // It stays so after another start.
        files.killProcess()
      }
    }
  }

  @Test func anUnreadableNewestGenerationBesideLostCopiesLeavesNoTermToVoteIn() throws {
    let files = SimulatedFileSystem()
    let directory = try open(files)
    try directory.write(vote: Self.vote(2))
    try directory.write(vote: Self.vote(5000))
    let newest = "data/\(DirectoryFile.name(directory.current.generation))"
    files.killProcess()
    files.setContents(newest, [1, 2, 3])
    for path in Self.copies { files.setContents(path, []) }
    let again = try open(files)
    #expect(!answer(again, to: Self.second, in: 9000).reply.isGranted)
    #expect(again.voteDoubt != nil)
  }

  /// A power cut in the middle of the n-th call to the disk: what was told is known, and it is always one vote.
  @Test func aPowerCutLeavesAGoodCopy() throws {
    var ended = false
    var call = 0
    while !ended {
      call += 1
      for seed in UInt64(0)..<12 {
        let files = SimulatedFileSystem(seed: seed)
        let directory = try open(files)
        try directory.write(vote: Self.vote(7))
        let cut = Flag()
        files.stopProcess(atCall: call) { cut.isSet.withLock { $0 = true } }
        let isTold = (try? directory.write(vote: Self.vote(8, for: Self.second))) != nil && !cut.isSet.withLock { $0 }
        ended = !cut.isSet.withLock { $0 }
        files.crash()
        let again = try open(files)
        let vote = again.current.vote
        let isOld = vote == Self.vote(7)
        #expect(isOld && !isTold || vote == Self.vote(8, for: Self.second), "call \(call), seed \(seed)")
        #expect(again.unsureUpTo == .none, "call \(call), seed \(seed): \(again.voteDoubt ?? "")")
      }
    }
    #expect(call > 4)
  }

  /// A write that fails is no vote, and what it left does not stand in the way of the next one.
  @Test func aFailedWriteIsNoVote() throws {
    for call in [SimulatedFileSystem.Call.write, .flush, .open] {
      for number in 1...2 {
        let files = SimulatedFileSystem()
        let directory = try open(files)
        try directory.write(vote: Self.vote(7))
        files.setFault(.init(call: call, number: number, errno: SimulatedFileSystem.Fault.inputOutput))
        #expect(throws: FileError.self) { try directory.write(vote: Self.vote(8)) }
        #expect(directory.current.vote == Self.vote(7))
        files.setFault(nil)
        try directory.write(vote: Self.vote(9, for: Self.second))
        files.crash()
        #expect(try open(files).current.vote == Self.vote(9, for: Self.second), "\(call) \(number)")
      }
    }
  }

  @Test func aVoteOnAnotherDataSetSaysNothing() throws {
    let files = SimulatedFileSystem()
    let directory = try open(files)
    try directory.write(vote: Self.vote(50))
    try directory.change { $0.lineage = Self.second }
    #expect(directory.current.vote == .init(term: .none, candidate: nil))
    files.crash()
    let again = try open(files)
    #expect(again.current.vote == .init(term: .none, candidate: nil) && again.unsureUpTo == .none)
    try again.write(vote: Self.vote(2))
    #expect(try open(files).current.vote == Self.vote(2))
  }

  /// A directory of format 6, where the vote stood in the generation alone.
  @Test func aDirectoryFromBeforeIsUpgraded() throws {
    let files = SimulatedFileSystem()
    let directory = try open(files)
    try directory.change { $0.vote = Self.vote(50) }
    files.killProcess()
    for path in Self.copies { try files.unlink(path) }
    let name = "data/\(DirectoryFile.name(directory.current.generation))"
    files.setContents(name, asVersion6(files.contents(name)!))
    let upgraded = try open(files)
    #expect(upgraded.current.vote == Self.vote(50) && upgraded.unsureUpTo == .none)
    for path in Self.copies { #expect(files.contents(path) != nil) }
    try upgraded.change { $0.registry = [1] }
    files.crash()
    files.setContents(Self.copies[0], [])
    #expect(try open(files).current.vote == Self.vote(50))
  }

  /// Without what later versions wrote behind the registry: nothing was set there.
  private func asVersion6(_ bytes: [UInt8]) -> [UInt8] {
    let body = Array(bytes[16..<bytes.count / 2].dropLast(43 + 8 + 40 + 4 + 4 + 4))
    var file = ByteWriter(capacity: bytes.count)
    file.raw(Array(bytes.prefix(7)) + [6])
    file.u32(UInt32(body.count))
    file.u32(CRC32C.checksum(body))
    file.raw(body)
    return file.bytes
  }

  @Test func copiesThatDifferOrAreOlderThanTheDirectoryAreNoVote() throws {
    var newest = DirectoryFile(node: Self.first, lineage: Self.second)
    (newest.generation, newest.voteCeiling) = (9, Term(60))
    newest.vote = Self.vote(50)
    func file(
      _ term: UInt32, for candidate: NodeID = Self.first, sequence: UInt64, generation: UInt64 = 9
    ) -> VoteJudgement.Copy {
      var file = VoteFile(node: Self.first, lineage: Self.second)
      (file.vote, file.sequence, file.generation) = (Self.vote(term, for: candidate), sequence, generation)
      return .good(file)
    }
    func judge(_ copies: [VoteJudgement.Copy]) -> VoteJudgement {
      VoteJudgement(copies: copies, newest: newest, readable: [newest], highest: 9)
    }
    // A crash between the two writes.
    let between = judge([file(51, sequence: 8), file(50, sequence: 7)])
    #expect(between.file.vote == Self.vote(51) && between.doubt == nil && between.needsWriting)
    let differ = judge([file(51, sequence: 8), file(51, for: Self.second, sequence: 8)])
    #expect(differ.doubt != nil && differ.file.unsureUpTo == Term(60))
    let old = judge([file(49, sequence: 6), file(49, sequence: 6)])
    #expect(old.doubt != nil && old.file.unsureUpTo == Term(60) && old.file.vote == Self.vote(50))
    let restored = judge([file(55, sequence: 8, generation: 30), file(55, sequence: 8, generation: 30)])
    #expect(restored.doubt == "the data directory is older than the vote in it" && restored.file.vote == Self.vote(55))
    #expect(judge([file(55, sequence: 8, generation: 10), file(55, sequence: 8, generation: 10)]).doubt == nil)
    // A node that never voted has nothing to lose.
    newest.vote = .init(term: .none, candidate: nil)
    newest.voteCeiling = Term.none
    #expect(judge([.missing, .damaged("cut")]).doubt == nil)
  }
}
