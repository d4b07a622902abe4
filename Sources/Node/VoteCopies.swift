import Core
import LogStore
import Synchronization

/// The two copies of the vote in a data directory. Whoever writes blocks on the disk: never on a loop that serves clients.
final class VoteCopies: Sendable {
  private let fileSystem: any FileSystem
  private let directory: String
  private struct State {
    var file: VoteFile
    var sequence: UInt64
    /// Both copies on disk are `file`, and may be overwritten in place.
    var areBothGood: Bool
  }
  private let state: Mutex<State>

  init(fileSystem: any FileSystem, directory: String, judgement: VoteJudgement) {
    self.fileSystem = fileSystem
    self.directory = directory
    let isNew = judgement.file.sequence == 0
    state = Mutex(
      State(
        file: judgement.file, sequence: judgement.file.sequence, areBothGood: !judgement.needsWriting && !isNew))
  }

  static func read(_ directory: String, _ fileSystem: any FileSystem) throws -> [VoteJudgement.Copy] {
    try VoteFile.names.map { name in
      let path = "\(directory)/\(name)"
      guard fileSystem.exists(path) else { return .missing }
      let bytes: [UInt8]
      do { bytes = try fileSystem.readAll(path) } catch let error as FileError {
        // Not the file's fault: rights, or too many open files.
        guard error.errno == DataDirectory.inputOutputError else { throw error }
        return .damaged("\(error)")
      }
      do { return .good(try VoteFile(decoding: bytes)) } catch { return .damaged("\(error)") }
    }
  }

  /// Both are on disk when this returns. When it throws, the vote is not given; a copy may have it all the same.
  ///
  /// The order is a contract: the second copy is touched when the first one is on disk, so a crash leaves a good one.
  func write(_ edit: (inout VoteFile) -> Void) throws(FileError) {
    try state.withLock { (state) throws(FileError) -> Void in
      var next = state.file
      edit(&next)
      // Votes on another data set say nothing about this one, also when this cannot be written.
      if next.lineage != state.file.lineage { state.file = VoteFile(node: next.node, lineage: next.lineage) }
      state.sequence &+= 1
      next.sequence = state.sequence
      // A file whose flush failed is not written again: a new one takes its place.
      let inPlace = state.areBothGood
      state.areBothGood = false
      for name in VoteFile.names { try write(next.encoded(), to: "\(directory)/\(name)", inPlace: inPlace) }
      (state.file, state.areBothGood) = (next, true)
    }
  }

  /// What a start found missing or damaged is made good again, if the disk lets it.
  func repair() throws(FileError) {
    guard !isWhole else { return }
    try write { _ in }
  }
  var isWhole: Bool { state.withLock { $0.areBothGood } }

  private func write(_ bytes: [UInt8], to path: String, inPlace: Bool) throws(FileError) {
    guard inPlace else { return try fileSystem.replace(path, in: directory, with: bytes) }
    let file = try fileSystem.open(path, .readWrite)
    defer { file.close() }
    try file.write(bytes, at: 0)
    try file.flush()
  }
}
