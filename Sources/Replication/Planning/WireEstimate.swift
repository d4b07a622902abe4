import Core

/// How much of what is sent remains after compression, measured in the last syncs: bytes on the wire divided by bytes
/// before, frame headers not counted. nil = not measured yet, then 1 counts (nothing is saved).
package struct LinkRatios: Hashable, Sendable {
  package var log: Double?
  package var delta: Double?
  package var files: Double?
  package init(log: Double? = nil, delta: Double? = nil, files: Double? = nil) {
    self.log = log
    self.delta = delta
    self.files = files
  }

  package var isComplete: Bool { log != nil && delta != nil && files != nil }

  /// What this one has not measured is taken from another.
  package func completed(by other: LinkRatios) -> LinkRatios {
    LinkRatios(log: log ?? other.log, delta: delta ?? other.delta, files: files ?? other.files)
  }
}

/// Bytes of bulk frames, counted by the one who sends them. Gives the ratios of a finished sync.
package struct WireCount: Hashable, Sendable {
  private struct Sum: Hashable {
    var rawBytes: UInt64 = 0
    var bodyBytes: UInt64 = 0
    /// Too little says nothing about the next sync.
    var ratio: Double? { rawBytes >= 16 << 10 ? min(1, Double(bodyBytes) / Double(rawBytes)) : nil }
  }
  private var log = Sum()
  private var delta = Sum()
  private var files = Sum()
  /// Of all frames, headers included.
  package private(set) var wireBytes: UInt64 = 0

  package init() {}

  package mutating func sent(wireBytes: Int) { self.wireBytes &+= UInt64(wireBytes) }

  /// A bulk frame; to be told besides `sent`.
  package mutating func sentBulk(_ type: FrameType, rawBytes: Int, bodyBytes: Int) {
    func add(_ sum: inout Sum) {
      sum.rawBytes &+= UInt64(rawBytes)
      sum.bodyBytes &+= UInt64(bodyBytes)
    }
    switch type {
    case .log: add(&log)
    case .delta: add(&delta)
    case .fileChunk: add(&files)
    case .syncBegin, .fileManifest, .fileDone, .syncEnd, .heartbeat, .ack, .slaveList, .digest, .needPlan, .error,
      .deltaEnd, .handover, .prove, .proof, .upstreamPath:
      break
    }
  }

  package var ratios: LinkRatios { LinkRatios(log: log.ratio, delta: delta.ratio, files: files.ratio) }
}

/// Bytes on the wire from the first frame of a sync until its barrier was sent. What clients write after the barrier is
/// the live stream's.
struct WireEstimate {
  let input: PlannerInput

  private static func whole(_ bytes: Double) -> UInt64 {
    bytes.isFinite && bytes < 1e18 ? UInt64(max(0, bytes)) : 1 << 62
  }

  /// Bodies of so many bytes before compression, with their headers.
  private func bulk(_ bytes: UInt64, ratio: Double?) -> UInt64 {
    let body = UInt64(max(1, input.frameBodyBytes))
    let frames = bytes / body &+ (bytes % body > 0 ? 1 : 0)
    return Self.whole(Double(bytes) * min(1, ratio ?? 1) + Double(frames) * Double(FrameHeader.byteCount))
  }

  private func control(_ body: [UInt8]) -> UInt64 { UInt64(FrameHeader.byteCount + body.count) }

  private var begin: UInt64 {
    control(
      SyncBegin(
        mode: .partial, startLSN: LSN(1), barrierLSN: .none, lineage: input.masterLineage, history: input.masterHistory
      )
      .encoded())
  }

  private var end: UInt64 { control(SyncEnd(snapshot: .none, barrierLSN: .none).encoded()) }

  /// The last read before the barrier goes past it if the log has more by then.
  private func readPastBarrier(_ logBytes: UInt64, meanwhile: UInt64) -> UInt64 {
    let body = UInt64(max(1, input.frameBodyBytes))
    return min(meanwhile, body - logBytes % body)
  }

  func partial(logBytes: UInt64, meanwhile: UInt64) -> UInt64 {
    let log = logBytes.addingReportingOverflow(readPastBarrier(logBytes, meanwhile: meanwhile))
    return begin &+ end &+ bulk(log.overflow ? .max : log.partialValue, ratio: input.ratios.log)
  }

  /// The barrier of a delta is the end of the log when the walk arrives there: what is written meanwhile is part of it.
  func delta(liveBytes: UInt64, meanwhile: UInt64) -> UInt64 {
    let bytes = liveBytes.addingReportingOverflow(meanwhile)
    let end = control(
      DeltaEnd(barrierLSN: .none, term: .none, records: 0, bytes: 0, checksum: 0, history: input.masterHistory)
        .encoded())
    return begin &+ end &+ bulk(bytes.overflow ? .max : bytes.partialValue, ratio: input.ratios.delta)
  }

  func full(held: [UInt64: UInt64], logBytes: UInt64, meanwhile: UInt64) -> UInt64 {
    // The manifest may be compressed; ids and checksums hardly shrink.
    let tombstones: UInt64 = (input.delta?.tombstonesFrom ?? .none) > .none ? 8 : 0
    var bytes = begin &+ tombstones &+ control(input.manifest.encoded())
    let done = control(FileDone(snapshot: .none).encoded())
    for file in input.manifest.files {
      let left = file.bytes - min(file.bytes, held[file.number] ?? 0)
      // Of index files and log files alike.
      let sum = bytes.addingReportingOverflow(bulk(left, ratio: input.ratios.files) &+ done)
      bytes = sum.overflow ? .max : sum.partialValue
    }
    let sum = bytes.addingReportingOverflow(partial(logBytes: logBytes, meanwhile: meanwhile) &- begin)
    return sum.overflow ? .max : sum.partialValue
  }
}
