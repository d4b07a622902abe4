import Core
import LogStore
import Replication
import Synchronization

/// A node's data directory: generations (`<n>.dir`) at the top, the log and its index files in `store-<m>`.
///
///     DATA/lock                         held while a server runs on it
///     DATA/00000000000000000007.dir     newest generation; the last three are kept
///     DATA/reach                        how far the log went, see LogStore
///     DATA/reserve                      space for what frees some on a full disk, see LogStore
///     DATA/1.vote, DATA/2.vote          how the node voted last, twice; see VoteFile
///     DATA/store-1/<first LSN>.wal      see LogStore
///     DATA/lost-<term>-<LSN>.resp       what a rewind cut, as commands; for people, never read here
///     DATA/damaged-<first LSN>.wal      a file that damage was cut out of, as it was; for people, never read here
///     DATA/replaced-<data set>-...      a store that was given up for another one: a data directory of its own
///
/// A full sync builds `store-<m+1>` beside `store-<m>`; writing the generation that names it is the moment of the swap.
package final class DataDirectory: Sendable {
  package let fileSystem: any FileSystem
  package let path: String
  private struct State {
    var current: DirectoryFile
    /// The older generations that are still on disk, newest first.
    var older: [DirectoryFile] = []
    /// Files that damage was cut out of, as they were.
    var damagedCopies: [String] = []
    /// Stores that were given up and set aside: see `SetAside.swift`.
    var replacedStores: [ReplacedStore] = []
  }
  private let state: Mutex<State>
  /// How far the log of the live store went.
  package let reachFile: ReachFile
  package let reserve: SpaceReserve
  /// Held by whoever writes or removes generations, across the disk: changes come one after the other. Who only looks at
  /// `state` never waits for a disk.
  private let changing = Mutex<Void>(())
  private let votes: VoteCopies
  /// Why the start could not be sure how this node voted; nil: it was.
  package let voteDoubt: String?
  package static let generationsKept = 3
  static let inputOutputError: Int32 = 5  // EIO
  /// A generation is written for a vote only when it is of a term this far beyond the one before.
  private static let voteCeilingStep: UInt32 = 16

  private init(
    fileSystem: any FileSystem, path: String, current: DirectoryFile, older: [DirectoryFile] = [],
    reach: ReachFile.Note? = nil, vote: VoteJudgement
  ) {
    self.fileSystem = fileSystem
    self.path = path
    reserve = SpaceReserve(fileSystem: fileSystem, directory: path)
    reachFile = ReachFile(
      fileSystem: fileSystem, directory: path, node: current.node, era: current.era, last: reach)
    var current = current
    current.vote = vote.file.vote
    voteDoubt = vote.doubt
    votes = VoteCopies(fileSystem: fileSystem, directory: path, judgement: vote)
    unsureBox = Mutex(vote.file.unsureUpTo)
    state = Mutex(State(current: current, older: older))
  }

  package var current: DirectoryFile { state.withLock { $0.current } }
  /// Every generation that a start could fall back to, for the live store.
  package var keptGenerations: [DirectoryFile] {
    state.withLock { state in [state.current] + state.older.filter { $0.storeNumber == state.current.storeNumber } }
  }
  package var node: NodeID { current.node }
  package var lineage: NodeID { current.lineage }
  /// Files that damage was cut out of, as they were; for people.
  package var damagedCopies: [String] { state.withLock { $0.damagedCopies } }
  func add(damagedCopies: [String]) {
    state.withLock { state in
      state.damagedCopies += damagedCopies.filter { !state.damagedCopies.contains($0) }
    }
  }

  package var replacedStores: [ReplacedStore] { state.withLock { $0.replacedStores } }
  func note(replacedStores: [ReplacedStore]) { state.withLock { $0.replacedStores = replacedStores } }

  package func storePath(_ number: UInt32) -> String { "\(path)/store-\(number)" }

  /// Opens the directory, or makes it with a first generation if it is empty.
  ///
  /// - Parameter random: fresh random bytes for new identities.
  package static func open(_ path: String, fileSystem: any FileSystem, random: (Int) -> [UInt8]) throws
    -> (directory: DataDirectory, notes: [String])
  {
    try fileSystem.makeDirectory(path)
    var notes: [String] = []
    let names = try fileSystem.list(path)
    let generations = names.compactMap { DirectoryFile.generation(inName: $0) }.sorted(by: >)
    var readable: [DirectoryFile] = []
    for generation in generations {
      let name = DirectoryFile.name(generation)
      do {
        let bytes = try fileSystem.readAll("\(path)/\(name)")
        let (file, damage) = try Self.decode(bytes, "\(path)/\(name)")
        if let damage { notes.append("generation \(name) is damaged in \(damage); the other one is good") }
        guard file.generation == generation else {
          throw DirectoryFile.Unreadable.damaged("its number is not its name")
        }
        readable.append(file)
      } catch let newer as OpenError {
        // An older generation beside it is of the past: what it names may be gone.
        throw newer
      } catch let error as FileError where error.errno != Self.inputOutputError {
        // Not the file's fault: rights, or too many open files. An older generation would be no better.
        throw error
      } catch {
        notes.append("generation \(name) cannot be used (\(error)); trying the one before it")
      }
    }
    if let newest = readable.first {
      // The process before may have ended between the rename and the flush. What the newest generation no longer names is
      // removed below: a power cut must not bring back the one before it.
      try fileSystem.flushDirectory(path)
      let reach = try Self.readReach(path, fileSystem, newest: newest, &notes)
      let vote = VoteJudgement(
        copies: try VoteCopies.read(path, fileSystem), newest: newest, readable: readable,
        highest: generations.first ?? newest.generation)
      notes += vote.notes
      let directory = DataDirectory(
        fileSystem: fileSystem, path: path, current: newest, older: Array(readable.dropFirst()), reach: reach,
        vote: vote)
      // A number is never used twice, also when the newest generation is damaged.
      if let highest = generations.first, highest > newest.generation {
        directory.state.withLock { $0.current.generation = highest }
      }
      for name in names
      where name.hasSuffix(DirectoryFile.suffix + ".tmp") || name.hasSuffix(".resp.tmp")
        || name.hasSuffix(SegmentFormat.fileSuffix + ".tmp") || name.hasSuffix(VoteFile.suffix + ".tmp")
      {
        try fileSystem.unlink("\(path)/\(name)")
      }
      try directory.finishReplacedStores()
      directory.removeAbandonedStores()
      directory.add(
        damagedCopies: names.filter { $0.hasPrefix("damaged-") && $0.hasSuffix(SegmentFormat.fileSuffix) }.map {
          "\(path)/\($0)"
        })
      if vote.needsWriting {
        do throws(FileError) { try directory.votes.repair() } catch {
          notes.append("the vote cannot be written: \(error)")
        }
      }
      return (directory, notes)
    }
    if !generations.isEmpty {
      throw OpenError(
        "no generation in \(path) can be read (\(notes.joined(separator: "; "))). Put a .dir file back from a copy, or "
          + "start with an empty directory as a slave of a node that has the data")
    }
    let strangers = names.filter { $0 != "lock" && !$0.hasSuffix(DirectoryFile.suffix + ".tmp") && $0 != "lost+found" }
    if let stranger = strangers.first {
      throw OpenError(
        "\(path) is not a Paceline data directory and is not empty (it holds \(stranger)); name another with --data")
    }
    let first = DirectoryFile(
      node: NodeID(random: random(NodeID.byteCount)), lineage: NodeID(random: random(NodeID.byteCount)))
    let directory = DataDirectory(
      fileSystem: fileSystem, path: path, current: first,
      vote: VoteJudgement(copies: [.missing, .missing], newest: first, readable: [first], highest: 0))
    try directory.change { _ in }
    return (directory, notes)
  }

  /// What is written down of the log's end, as far as it is about the log of the newest generation.
  private static func readReach(
    _ path: String, _ fileSystem: any FileSystem, newest: DirectoryFile, _ notes: inout [String]
  ) throws -> ReachFile.Note? {
    let (note, damage) = try ReachFile.read(path, fileSystem)
    if let damage { notes.append(damage) }
    let file = "\(path)/\(ReachFile.name)"
    guard let note else {
      if newest.reach != .none, damage == nil {
        notes.append(
          "\(file) is missing: how far the log went is known up to LSN \(newest.reach.reached.lsn) only, by generation "
            + "\(newest.generation)")
      }
      return nil
    }
    guard note.node == LogStore.hashSeed(of: newest.node) else {
      notes.append("\(file) is of another node's directory, and is not used")
      return nil
    }
    guard note.era <= newest.era else {
      throw OpenError(
        """
        the newest generation in \(path) is missing: \(file) tells of a log that came after generation         \(newest.generation) (era \(note.era), not \(newest.era)). Put the .dir files back from a copy, or start with an         empty directory as a slave of a node that has the data; if \(ReachFile.name) is not of this directory, take it out
        """)
    }
    return note
  }

  /// A good copy of this version counts where the first bytes are one bit off.
  private static func decode(_ bytes: [UInt8], _ file: String) throws -> (file: DirectoryFile, damage: String?) {
    try bytes.withUnsafeBytes { raw in
      if FormatVersion.isOneBitOff(raw, from: DirectoryFile.magic), (try? DirectoryFile.decode(bytes)) != nil { return }
      try FormatVersion.refuseNewer(raw, than: DirectoryFile.magic, file: file)
    }
    return try DirectoryFile.decode(bytes)
  }

  /// Writes a new generation; it holds when this returns. Changes are made one after the other, each on what the one before
  /// has left: what `edit` puts in is never overtaken by something older.
  ///
  /// - Parameter ifDifferent: nothing is written if `edit` changes nothing.
  package func change(ifDifferent: Bool = false, _ edit: (inout DirectoryFile) -> Void) throws(FileError) {
    let failure: FileError? = changing.withLock { _ in
      let current = self.current
      var next = current
      edit(&next)
      if ifDifferent, next == current { return nil }
      next.generation = current.generation + 1
      if next.era == current.era, next.storeNumber != current.storeNumber || next.lineage != current.lineage {
        let reach = next.reach
        next.beginEra()
        // Of the new store, if it was described.
        if reach != current.reach { next.reach = reach }
      }
      let isOtherData = next.lineage != current.lineage
      // Votes on another data set say nothing about this one.
      if isOtherData { (next.vote, next.voteCeiling) = (.init(term: .none, candidate: nil), Term.none) }
      if next.vote.term > next.voteCeiling ?? .none {
        next.voteCeiling = next.vote.term.advanced(by: Self.voteCeilingStep)
      }
      do throws(FileError) {
        if !isOtherData { try writeVote(of: next, since: current) }
        let bytes = next.encoded()
        try reserve.withRoom(2 * bytes.count) { [next] () throws(FileError) in
          try fileSystem.replace("\(path)/\(DirectoryFile.name(next.generation))", in: path, with: bytes)
        }
      } catch {
        // It may stand there all the same, not flushed: a start must not find what this process does not go by.
        try? fileSystem.unlink("\(path)/\(DirectoryFile.name(next.generation))")
        try? fileSystem.flushDirectory(path)
        return error
      }
      state.withLock { [next] state in
        if current.generation > 0 { state.older.insert(current, at: 0) }
        state.older = Array(state.older.prefix(Self.generationsKept - 1))
        state.current = next
      }
      if isOtherData { forgetVote(lineage: next.lineage) }
      return nil
    }
    if let failure { throw failure }
    removeOldGenerations()
  }

  // MARK: The vote

  private let unsureBox: Mutex<Term>
  /// In terms up to this one the node neither votes nor stands, because it is not sure how it voted.
  package var unsureUpTo: Term { unsureBox.withLock { $0 } }

  /// Writes down how this node votes: in both copies, on disk when this returns.
  package func write(vote: DirectoryFile.Vote) throws(FileError) {
    let failure: FileError? = changing.withLock { _ in
      let current = self.current
      var next = current
      next.vote = vote
      do throws(FileError) { try writeVote(of: next, since: current) } catch { return error }
      state.withLock { $0.current.vote = vote }
      return nil
    }
    if let failure { throw failure }
    if vote.term > current.voteCeiling ?? .none { try change { _ in } }
  }

  /// The node learned that it forgot how it voted in terms up to this one.
  package func forgot(votesUpTo term: Term) throws(FileError) {
    guard term > unsureUpTo else { return }
    try votes.write { $0.unsureUpTo = max($0.unsureUpTo, term) }
    unsureBox.withLock { $0 = max($0, term) }
  }

  private func writeVote(of next: DirectoryFile, since current: DirectoryFile) throws(FileError) {
    guard next.vote != current.vote || !votes.isWhole && next.vote.term > .none else { return }
    let generation = current.generation
    try votes.write {
      ($0.vote, $0.generation, $0.lineage) = (next.vote, generation, next.lineage)
      // Taken back by an order: --forget-terms-above.
      if next.vote.term < current.vote.term { $0.unsureUpTo = min($0.unsureUpTo, next.vote.term) }
    }
    if next.vote.term < current.vote.term { unsureBox.withLock { $0 = min($0, next.vote.term) } }
  }

  /// The copies that are there are of another data set now, and count nothing; whether they can be written or not.
  private func forgetVote(lineage: NodeID) {
    try? votes.write {
      let fresh = VoteFile(node: $0.node, lineage: lineage)
      $0 = fresh
    }
    unsureBox.withLock { $0 = .none }
  }

  /// When the newest generation orders a cut: no start may fall back to one from before it. They are gone on disk when this
  /// returns; the log's files are cut afterwards.
  private func forgetGenerationsBeforeCut() throws(FileError) {
    guard let cut = current.cut else { return }
    try forgetGenerations { $0.cut != cut }
  }

  /// The log's files are cut as a generation ordered, and no record was appended since: no start may carry the order out once
  /// more. The log may go on with the very records that were cut (a cut goes back to the beginning of a unit, and a node that
  /// is behind sends what this one had already), and a second cut would take what was acknowledged since.
  private func cutIsDone(_ cut: DirectoryFile.Cut?) throws(FileError) {
    guard let cut else { return }
    try change { $0.cut = nil }
    try forgetGenerations { $0.cut == cut }
  }

  /// Those older ones are gone on disk when this returns: no start falls back to one of them.
  func forgetGenerations(where isForgotten: (DirectoryFile) -> Bool) throws(FileError) {
    for older in state.withLock({ $0.older }) where isForgotten(older) {
      let file = "\(path)/\(DirectoryFile.name(older.generation))"
      if fileSystem.exists(file) { try fileSystem.unlink(file) }
    }
    try fileSystem.flushDirectory(path)
    state.withLock { state in state.older.removeAll { isForgotten($0) } }
  }

  private func removeOldGenerations() {
    let newest = current.generation
    guard newest > UInt64(Self.generationsKept) else { return }
    let names = (try? fileSystem.list(path)) ?? []
    for name in names {
      guard let generation = DirectoryFile.generation(inName: name) else { continue }
      if generation + UInt64(Self.generationsKept) <= newest { try? fileSystem.unlink("\(path)/\(name)") }
    }
  }

  /// Store directories that no kept generation needs, but for the next one: a full sync may go on in it.
  private func removeAbandonedStores() {
    let live = current.storeNumber
    for name in (try? fileSystem.list(path)) ?? [] {
      guard name.hasPrefix("store-"), let number = UInt32(name.dropFirst(6)), number != live, number != live + 1 else {
        continue
      }
      removeStore(number)
    }
  }

  /// Names of the files with what was cut off this node's log; they stay until somebody takes them away.
  var lostFiles: [String] {
    ((try? fileSystem.list(path)) ?? []).filter { $0.hasPrefix("lost-") && $0.hasSuffix(".resp") }
  }

  /// Deletes a store directory and what is in it.
  package func removeStore(_ number: UInt32) {
    let directory = storePath(number)
    for name in (try? fileSystem.list(directory)) ?? [] { try? fileSystem.unlink("\(directory)/\(name)") }
    try? fileSystem.removeDirectory(directory)
  }

  /// Opens the live store, from the newest generation whose files are usable: an older one and the log after it are the
  /// same data. Node, vote and registry stay those of the newest; its number is not used again.
  package func openStore(configuration: StoreConfiguration, workers: Int, run: ParallelRunner) throws
    -> (store: LogStore, report: RecoveryReport)
  {
    let newest = current
    let directory = storePath(newest.storeNumber)
    // Only the very first generation is written before its store is made. Later ones name data that must be there: a
    // fall back to a generation whose store was replaced must not begin an empty one in its place.
    // The file counts alone where it says anything of this log: a start that cuts the log back to its last whole unit, or
    // takes away a segment that was begun and has no record, lowers the file's claim, and the generation is older.
    let noted = reachFile.reach(of: newest.era)
    let claim = noted == .none ? newest.reach : noted
    guard newest.generation == 1 && claim == .none || fileSystem.exists(directory) else {
      throw OpenError(
        "\(directory), which generation \(newest.generation) names, is missing. Put it back from a copy, or start with "
          + "an empty directory as a slave of a node that has the data", isDamage: true)
    }
    try fileSystem.makeDirectory(directory)
    try forgetGenerationsBeforeCut()
    func attempt(_ generation: DirectoryFile) throws -> (store: LogStore, report: RecoveryReport) {
      try LogStore.open(
        fileSystem: fileSystem, directory: directory, lineage: generation.lineage, configuration: configuration,
        generation: generation, workers: workers, run: run, reach: claim.joined(newest.sealedReach),
        note: (reachFile, newest.era), reserve: reserve)
    }
    let opened: (store: LogStore, report: RecoveryReport)
    do { opened = try attempt(newest) } catch {
      guard Self.mayBeTheFiles(error) else { throw error }
      var notes = ["generation \(newest.generation) cannot be used (\(error))"]
      for older in keptGenerations.dropFirst() where older.lineage == newest.lineage {
        do {
          var (store, report) = try attempt(older)
          notes.append("started from generation \(older.generation) and replayed the log after it")
          report.notes = notes + report.notes
          state.withLock { $0.current.takeData(of: older) }
          try cutIsDone(older.cut)
          return (store, report)
        } catch {
          notes.append("generation \(older.generation) cannot be used either (\(error))")
        }
      }
      // No generation helps: the newest one's reason is the one to act on.
      throw error
    }
    try cutIsDone(newest.cut)
    return opened
  }

  /// Whether another generation, with other files, might open.
  private static func mayBeTheFiles(_ error: any Error) -> Bool {
    switch error {
    case let error as OpenError: error.isDamage
    case let error as FileError: error.errno == inputOutputError
    default: false
    }
  }
}

extension DirectoryFile {
  /// What the sealed files prove: a start from an older generation must not end before them.
  fileprivate var sealedReach: LogReach {
    segments.last.map { LogReach(durable: terms.position(at: $0.lastLSN), begun: .none) } ?? .none
  }

  /// The log as an older generation knows it. Revisions that were used stay used.
  fileprivate mutating func takeData(of older: DirectoryFile) {
    segments = older.segments
    terms = older.terms
    logStart = older.logStart
    tombstonesFrom = older.tombstonesFrom
    rewindFloor = older.rewindFloor
    cut = older.cut
    nextRevision = max(nextRevision, older.nextRevision)
    keys = older.keys
  }
}
