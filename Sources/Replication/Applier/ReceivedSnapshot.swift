import Core

/// What a slave holds of a full sync on its disk; outlives connections, so that a cut sync goes on where it stopped.
///
/// Invariants: files are in the manifest's order; only durable bytes count; `heldBytes` is their sum.
package struct ReceivedSnapshot: Hashable, Sendable {
  package let snapshot: SnapshotID
  package private(set) var files: [ResumeState.HeldFile] = []
  package private(set) var heldBytes: UInt64 = 0
  package private(set) var verified = Set<UInt64>()
  /// The log behind the files is staged up to here, by this process; `none` if nothing of it is.
  package var stagedLSN = LSN.none
  package var stagedReign = Reign.none

  package init(snapshot: SnapshotID) { self.snapshot = snapshot }

  package init(_ resume: ResumeState) {
    snapshot = resume.snapshot
    stagedLSN = resume.stagedLSN
    for file in resume.files { setBytes(file.bytes, of: file.number) }
  }

  package var resume: ResumeState? {
    guard !files.isEmpty else { return nil }
    // Bounded as the request is: both sides must count the same files as held.
    let named = Array(files.prefix(ResumeState.filesMax))
    return ResumeState(snapshot: snapshot, stagedLSN: named.count == files.count ? stagedLSN : .none, files: named)
  }

  package func bytes(of number: UInt64) -> UInt64 {
    // The file being received is nearly always the last one.
    files.last { $0.number == number }?.bytes ?? 0
  }

  package mutating func setBytes(_ bytes: UInt64, of number: UInt64) {
    if let index = files.lastIndex(where: { $0.number == number }) {
      heldBytes = heldBytes &- files[index].bytes &+ bytes
      files[index].bytes = bytes
    } else {
      files.append(ResumeState.HeldFile(number: number, bytes: bytes))
      heldBytes = heldBytes &+ bytes
    }
  }

  package mutating func markVerified(_ number: UInt64) {
    // A file of no bytes is held too.
    setBytes(bytes(of: number), of: number)
    verified.insert(number)
  }

  /// A damaged file is fetched anew, whole; and log behind damaged files is worth nothing.
  package mutating func forget(_ number: UInt64) {
    setBytes(0, of: number)
    verified.remove(number)
    stagedLSN = .none
  }

  /// Keeps only what the master agrees is usable, in the manifest's order. What was verified stays so.
  package mutating func restrict(to manifest: FileManifest) {
    let usable = resume?.usableBytes(in: manifest) ?? [:]
    files = []
    heldBytes = 0
    let wasVerified = verified
    verified = []
    for file in manifest.files {
      guard let bytes = usable[file.number] else { continue }
      files.append(ResumeState.HeldFile(number: file.number, bytes: bytes))
      heldBytes += bytes
      if wasVerified.contains(file.number), bytes == file.bytes { verified.insert(file.number) }
    }
  }
}
