import Core
import LogStore
import Logging
import Replication
import Synchronization

/// What the disk does to this node, for INFO, and once per change for the log. Any thread.
package final class DiskWatch: Sendable {
  private struct Noted {
    var refusal: WriteRefusal?
    var background: String?
    var generation: String?
    var reach: String?
    var unreadable: UInt64 = 0
    var damaged: [DamagedPlace] = []
  }
  private let noted = Mutex(Noted())
  private let logger: Logger

  init(logger: Logger) { self.logger = logger }

  /// Looks at the running store. Cheap while all is well.
  package func look(_ store: LogStore) {
    let refusal = store.writeRefusal
    let before = noted.withLock { noted in
      defer { noted.refusal = refusal }
      return noted.refusal
    }
    if refusal != before {
      switch refusal {
      case .failed(let why):
        logger.error(
          "THE LOG CANNOT BE WRITTEN: reads go on, writes are refused until the disk is repaired and the server started again",
          metadata: ["disk.error": "\(why)", "disk.durable.lsn": "\(store.positions.durable)"])
      case .noSpace(let why):
        if case .noSpace? = before { break }
        logger.error(
          "no room for the log: reads go on, writes are refused until there is", metadata: ["disk.error": "\(why)"])
      case nil: logger.notice("the log takes writes again")
      case .keyTooLong, .valueTooLong, .outOfMemory: break
      }
    }
    lookAtMappings()
    let damaged = store.damagedPlaces
    let known = noted.withLock { noted in
      defer { noted.damaged = damaged }
      return noted.damaged
    }
    for place in damaged where !known.contains(place) {
      logger.error(
        "A STORED RECORD IS DAMAGED: it is answered with -CORRUPT",
        metadata: ["disk.file": "\(place.file)", "disk.offset": "\(place.offset)"])
    }
  }

  private func lookAtMappings() {
    let (count, files) = RealFileSystem.unreadablePages
    guard count > 0 else { return }
    let isNew = noted.withLock { noted in
      defer { noted.unreadable = count }
      return noted.unreadable != count
    }
    guard isNew else { return }
    logger.error(
      "LOG FILES CANNOT BE READ: what is in them is answered with -CORRUPT",
      metadata: ["disk.files": "\(files.joined(separator: ", "))", "disk.pages": "\(count)"])
  }

  /// Sealing, mapping or dropping failed, or works again (nil). Said when it changes.
  func background(_ error: FileError?) {
    let text = error?.description
    let isNew = noted.withLock { noted in
      defer { noted.background = text }
      return text != noted.background
    }
    if isNew, let text { logger.error("background work on the log failed", metadata: ["disk.error": "\(text)"]) }
  }

  /// Writing a generation failed, or works again (nil). Said when it changes.
  func generation(_ error: (any Error)?) {
    let text = error.map { "\($0)" }
    let isNew = noted.withLock { noted in
      defer { noted.generation = text }
      return text != noted.generation
    }
    if isNew, let text {
      logger.error("a new generation cannot be written; it is tried again", metadata: ["disk.error": "\(text)"])
    }
  }

  /// Noting how far the log went failed, or works again (nil). Said when it changes.
  func reach(_ error: FileError?) {
    let text = error?.description
    let isNew = noted.withLock { noted in
      defer { noted.reach = text }
      return text != noted.reach
    }
    if isNew, let text {
      logger.error("how far the log went cannot be written down", metadata: ["disk.error": "\(text)"])
    }
  }

  /// - Parameter hold: why a slave's link is kept closed, if its disk is the reason.
  package func status(_ store: LogStore, _ damage: DamageRegistry, hold: DiskHold?) -> DiskStatus {
    let noted = noted.withLock { $0 }
    var status = DiskStatus()
    switch store.writeRefusal {
    case .failed(let why): (status.state, status.errors) = (.failed, [why])
    case .noSpace(let why): (status.state, status.errors) = (.full, [why])
    case nil, .keyTooLong, .valueTooLong, .outOfMemory: break
    }
    if let hold {
      if status.state != .failed { status.state = hold.isFinal ? .failed : .full }
      status.errors.append(hold.reason)
    }
    for error in [noted.background, noted.generation, noted.reach] {
      guard let error, !status.errors.contains(error) else { continue }
      status.errors.append(error)
    }
    (status.unreadablePages, status.unreadableFiles) = RealFileSystem.unreadablePages
    // What look-ups met and is not checked yet stands beside what was.
    let checked = Set(damage.items.map(\.file))
    let met = store.damagedPlaces.filter { !checked.contains($0.file) }
    status.damagedRecords = max(damage.items.count, damage.records) + met.count
    status.damagedPlaces =
      damage.items.flatMap { item in
        item.records.isEmpty
          ? ["\(item.file) around its records"]
          : item.records.prefix(16).map { "\(item.file) at offset \($0.offset), LSN \($0.lsn)" }
      } + met.map(\.description)
    return status
  }
}
