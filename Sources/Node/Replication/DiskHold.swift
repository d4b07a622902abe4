import Core
import LogStore
import Replication

/// Why a slave's link stays closed: its own disk. The master is not asked again while it lasts.
package struct DiskHold: Sendable {
  enum Cause: Sendable {
    /// So many bytes must be free before the sync can go on.
    case room(bytes: UInt64, path: String)
    /// The log of the running store takes nothing until its disk has room.
    case ownLog
    /// A write or flush failed; what it left on disk is not known.
    case failed
  }
  let cause: Cause
  package let reason: String
  private var lookedAt = Tick(milliseconds: 0)

  /// Looked for no more often than this: free space is a call to the system.
  private static let intervalMilliseconds: UInt64 = 250

  init(_ cause: Cause, _ reason: String) {
    self.cause = cause
    self.reason = reason
  }

  /// nil for what is not the disk's fault, or passes without being waited for.
  ///
  /// - Parameter missing: bytes that the sync still has to write.
  init?(_ error: any Error, missing: UInt64, path: String) {
    switch error {
    case let error as FileError where error.isNoSpace: self.init(.room(bytes: missing, path: path), "\(error)")
    case let error as FileError where error.isTooManyFiles || error.errno == Self.noSuchFile: return nil
    case let error as FileError: self.init(.failed, "\(error)")
    case let refused as LogRefused:
      switch refused.refusal {
      case .noSpace(let why): self.init(.room(bytes: missing, path: path), why)
      case .failed(let why): self.init(.failed, why)
      case .keyTooLong, .valueTooLong, .outOfMemory: return nil
      }
    case DeltaFailure.disk(let error): self.init(error, missing: missing, path: path)
    default: return nil
    }
  }
  private static let noSuchFile: Int32 = 2  // ENOENT

  /// For the log of the running store; nil while it takes writes.
  init?(_ refusal: WriteRefusal?) {
    switch refusal {
    case .noSpace(let why): self.init(.ownLog, why)
    case .failed(let why): self.init(.failed, why)
    case .keyTooLong, .valueTooLong, .outOfMemory, nil: return nil
    }
  }

  /// Nothing but a restart, or a new REPLICAOF, ends it.
  package var isFinal: Bool {
    if case .failed = cause { true } else { false }
  }
  /// What `sync_state` says.
  package var stateName: String { isFinal ? "disk failed" : "disk full" }

  mutating func isOver(_ store: LogStore, now: Tick) -> Bool {
    guard now.since(lookedAt) >= Self.intervalMilliseconds else { return false }
    lookedAt = now
    switch cause {
    case .room(let bytes, let path): return (try? store.fileSystem.freeBytes(path)).map { $0 >= bytes } ?? false
    case .ownLog: return store.writeRefusal == nil
    case .failed: return false
    }
  }
}

/// A store took no records: with its own reason.
struct LogRefused: Error, CustomStringConvertible {
  let refusal: WriteRefusal
  var description: String {
    switch refusal {
    case .noSpace(let why), .failed(let why): "the received log cannot be written: \(why)"
    case .keyTooLong, .valueTooLong, .outOfMemory: "the received log cannot be written: \(refusal)"
    }
  }
}

/// The link and its disk. On the link's loop.
extension UpstreamLink {
  func tick() {
    if let refused = DiskHold(core.store.writeRefusal), refused.isFinal, hold?.isFinal != true { stop(for: refused) }
    guard hold != nil else { return step(.tick) }
    guard hold?.isOver(core.store, now: core.host.monotonic) == true, let master = view.master else { return }
    logger.notice("there is room again: the sync goes on")
    endHold()
    step(.attach(master, .resumed))
  }

  /// The link is closed and stays so while the disk is the reason. What was received is looked at anew afterwards.
  func stop(for reason: DiskHold) {
    hold = reason
    step(.storeFailed(reason.reason))
  }

  func endHold() {
    hold = nil
    applier = Applier(order: applier.order)
  }

  /// Received files stay for the next try unless it is not known what is in them.
  func holdIfDisk(_ error: any Error) {
    // The log behind the files needs a segment.
    let missing = (staged?.missingBytes ?? 0) + UInt64(core.configuration.store.segmentBytes)
    guard let cause = DiskHold(error, missing: missing, path: core.directory.path) else { return }
    hold = cause
    staged?.abandon()
    if cause.isFinal || (error as? FileError)?.isOfFlush == true { staged?.forget() }
    staged = nil
  }
}
