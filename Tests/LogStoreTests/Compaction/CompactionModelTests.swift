import Core
import LogStore
import Testing

/// A log in numbers: what clients write is put into pieces, and the real planner is asked what to rewrite, as often as it
/// has something. It holds what the disk may hold and what rewriting may cost, over many loads.
private final class ModelLog {
  struct Load: CustomStringConvertible {
    var name: String
    var keys: Int
    var bytes: ClosedRange<Int>
    var segmentBytes: Int
    /// Of a hundred writes so many go to the first `hotKeys` keys.
    var hotPercent = 0
    var hotKeys = 1
    var deletePercent = 0
    /// Of a hundred writes so many are deleted again after some time.
    var expiryPercent = 0
    var walKeepBytes = 0
    var ratio = 0.5
    /// So many times the live data is written.
    var turns = 12
    var description: String { name }
  }

  final class Piece {
    var records: [Record] = []
    var bytes = 0
    var live = 0
    var kept = 0
    var lastLSN: UInt64 = 0
    var cleanUpTo: UInt64 = 0
    var isSealed = false
  }
  struct Record {
    var key: Int
    var lsn: UInt64
    var bytes: Int
    var isDelete: Bool
  }

  let load: Load
  private var random: SplitMix
  private(set) var pieces: [Piece] = [Piece()]
  private var newest: [Int: (lsn: UInt64, piece: Piece, bytes: Int, isDelete: Bool)] = [:]
  private var expiring: [(at: UInt64, key: Int, lsn: UInt64)] = []
  private var lsn: UInt64 = 0
  private(set) var written = 0
  private(set) var rewritten = 0
  private(set) var runs = 0

  init(_ load: Load, seed: UInt64) {
    self.load = load
    random = SplitMix(state: seed)
  }

  struct SplitMix {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return Int((z ^ (z >> 31)) % UInt64(bound))
    }
  }

  func append(_ key: Int, bytes: Int, isDelete: Bool) {
    lsn += 1
    if let old = newest[key], !old.isDelete { old.piece.live -= old.bytes }
    let piece = pieces[pieces.count - 1]
    piece.records.append(Record(key: key, lsn: lsn, bytes: bytes, isDelete: isDelete))
    piece.bytes += bytes
    piece.lastLSN = lsn
    if isDelete { piece.kept += bytes } else { piece.live += bytes }
    newest[key] = (lsn, piece, bytes, isDelete)
    written += bytes
    if piece.bytes >= load.segmentBytes {
      piece.isSealed = true
      pieces.append(Piece())
    }
  }

  func fill() { for key in 0..<load.keys { put(key) } }
  func put(_ key: Int) {
    append(key, bytes: load.bytes.lowerBound + random.below(load.bytes.count), isDelete: false)
  }
  func delete(_ key: Int) {
    guard let old = newest[key], !old.isDelete else { return }
    append(key, bytes: 56, isDelete: true)
  }

  func write() {
    let key = random.below(100) < load.hotPercent ? random.below(load.hotKeys) : random.below(load.keys)
    let kind = random.below(100)
    if kind < load.deletePercent {
      delete(key)
    } else {
      put(key)
      if kind < load.deletePercent + load.expiryPercent { expiring.append((lsn + UInt64(load.keys), key, lsn)) }
    }
    while let first = expiring.first, first.at <= lsn {
      expiring.removeFirst()
      if newest[first.key]?.lsn == first.lsn { delete(first.key) }
    }
  }

  private var isRaw: [Bool] {
    var sum = 0
    return pieces.reversed().map { piece -> Bool in
      defer { sum += piece.bytes }
      return !piece.isSealed || sum < load.walKeepBytes
    }.reversed()
  }

  /// Everything that is worth doing. Returns the number of runs.
  @discardableResult
  func compact(forced: Bool = false) -> Int {
    var count = 0
    while true {
      dropDead()
      let raw = isRaw
      let figures = zip(pieces, raw).map { piece, raw in
        if piece.isSealed, piece.live + piece.kept == piece.bytes { piece.cleanUpTo = lsn }
        return CompactionPlanner.Piece(
          bytes: piece.bytes, liveBytes: piece.live, keptBytes: piece.kept, isEligible: piece.isSealed && !raw,
          lastLSN: LSN(piece.lastLSN), cleanUpTo: LSN(piece.cleanUpTo))
      }
      let total = pieces.reduce(0) { $0 + $1.records.count }
      let policy = CompactionPlanner.Policy(
        garbageRatio: load.ratio, fileBytesMax: load.segmentBytes, indexBytes: total * 32,
        reservedBytes: 4 * load.segmentBytes, forced: forced)
      guard let run = CompactionPlanner.choose(figures, policy) else { return count }
      rewrite(run)
      count += 1
      if count == 10_000 {
        Issue.record("\(load.name): compaction never ends")
        return count
      }
    }
  }

  private func dropDead() {
    let raw = isRaw
    var olderKept = false
    pieces = zip(pieces, raw).filter { piece, _ in
      let goes = piece.isSealed && piece.live == 0 && (piece.kept == 0 || !olderKept)
      if !goes { olderKept = true }
      return !goes
    }.map(\.0)
  }

  private func rewrite(_ run: Range<Int>) {
    let olderCleanUpTo = pieces[..<run.lowerBound].map(\.cleanUpTo).min() ?? .max
    let made = Piece()
    made.isSealed = true
    made.cleanUpTo = lsn
    for piece in pieces[run] {
      made.lastLSN = piece.lastLSN
      for record in piece.records {
        let known = newest[record.key]
        if let known, known.lsn > record.lsn { continue }
        if record.isDelete {
          if record.lsn <= olderCleanUpTo {
            if known?.lsn == record.lsn { newest[record.key] = nil }
            continue
          }
          made.kept += record.bytes
        } else if known == nil {
          Issue.record("\(load.name): key \(record.key) came back")
          continue
        } else {
          made.live += record.bytes
        }
        made.records.append(record)
        made.bytes += record.bytes
        newest[record.key]?.piece = made
      }
    }
    rewritten += made.bytes
    runs += 1
    pieces.replaceSubrange(run, with: made.records.isEmpty ? [] : [made])
  }

  var total: Int { pieces.reduce(0) { $0 + $1.bytes } }
  var live: Int { pieces.reduce(0) { $0 + $1.live } }
  var kept: Int { pieces.reduce(0) { $0 + $1.kept } }
  /// Dead bytes that are nobody's to free now.
  var held: Int { zip(pieces, isRaw).reduce(0) { $0 + ($1.1 ? $1.0.bytes - $1.0.live : 0) } }
}

@Suite struct CompactionModelTests {
  private typealias Load = ModelLog.Load

  private static let loads: [Load] = [
    Load(name: "drawn evenly", keys: 4000, bytes: 100...1000, segmentBytes: 64 << 10),
    Load(name: "drawn evenly, small values", keys: 8000, bytes: 64...72, segmentBytes: 32 << 10),
    Load(name: "little data", keys: 50, bytes: 100...300, segmentBytes: 64 << 10, turns: 2000),
    Load(name: "large segments", keys: 4000, bytes: 300...340, segmentBytes: 512 << 10),
    Load(name: "small segments", keys: 4000, bytes: 100...500, segmentBytes: 8 << 10),
    Load(
      name: "hot keys", keys: 6000, bytes: 330...340, segmentBytes: 256 << 10, hotPercent: 99, hotKeys: 30,
      walKeepBytes: 512 << 10),
    Load(
      name: "hot keys and others", keys: 4000, bytes: 100...1000, segmentBytes: 64 << 10, hotPercent: 70, hotKeys: 50),
    Load(name: "deletes", keys: 4000, bytes: 100...400, segmentBytes: 64 << 10, deletePercent: 45),
    Load(name: "deletes of small values", keys: 8000, bytes: 64...80, segmentBytes: 32 << 10, deletePercent: 48),
    Load(name: "expiries", keys: 4000, bytes: 100...400, segmentBytes: 64 << 10, expiryPercent: 80),
    Load(
      name: "much is held", keys: 2000, bytes: 100...400, segmentBytes: 64 << 10, deletePercent: 10,
      walKeepBytes: 4 << 20),
    Load(
      name: "sparing", keys: 4000, bytes: 100...1000, segmentBytes: 64 << 10, deletePercent: 5, ratio: 0.2, turns: 8),
    Load(name: "generous", keys: 4000, bytes: 100...1000, segmentBytes: 64 << 10, deletePercent: 5, ratio: 2),
  ]

  /// Bytes rewritten for a byte that clients write: never more than this, at the default ratio. The planner's own bound,
  /// 1 / leastGain, is 7.4; it comes to less (0.1 to 4.1 here), because the piece is chosen that frees most.
  private static let amplificationMax = 5.0

  @Test(arguments: 0..<13) func theDiskAndTheCostOfRewritingAreBounded(_ number: Int) {
    let load = Self.loads[number]
    for seed in 1...2 * TestScale.factor {
      let log = ModelLog(load, seed: seed)
      log.fill()
      log.compact()
      let goal = log.written * (load.turns + 1)
      let began = (written: log.written, rewritten: log.rewritten)
      var next = log.written
      while log.written < goal {
        log.write()
        guard log.written >= next else { continue }
        next = log.written + load.segmentBytes / 4
        log.compact()
        let bound = Double(log.live) * (1 + load.ratio) + Double(log.held + 2 * load.segmentBytes)
        #expect(Double(log.total) <= bound, "\(load), seed \(seed): \(log.total) bytes, \(log.live) alive")
      }
      let amplification = Double(log.rewritten - began.rewritten) / Double(log.written - began.written)
      let most = load.ratio < 0.5 ? Self.amplificationMax * 0.5 / load.ratio : Self.amplificationMax
      #expect(amplification <= most, "\(load), seed \(seed)")

      // Then a trickle of writes: nothing runs for their sake.
      let before = (runs: log.runs, rewritten: log.rewritten, written: log.written)
      for _ in 0..<200 {
        log.write()
        log.compact()
      }
      let runsMax = (log.written - before.written) / (load.segmentBytes / 32) + 2
      #expect(log.runs - before.runs <= runsMax, "\(load), seed \(seed): runs for a trickle of writes")
      #expect(
        Double(log.rewritten - before.rewritten)
          <= Double(log.written - before.written) * most + Double(4 * load.segmentBytes), "\(load), seed \(seed)")
    }
  }

  @Test func tombstonesGoInTheEnd() {
    for seed in 1...3 * TestScale.factor {
      var load = Load(name: "deletes", keys: 4000, bytes: 64...128, segmentBytes: 32 << 10)
      load.deletePercent = 30
      let log = ModelLog(load, seed: seed)
      log.fill()
      for _ in 0..<20_000 { log.write() }
      log.compact()
      // Everything but a few keys is deleted, and a few others come.
      for key in 100..<load.keys { log.delete(key) }
      for _ in 0..<6 { for key in 0..<100 { log.put(key) } }
      log.compact()
      #expect(log.kept < load.segmentBytes * 2, "seed \(seed): \(log.kept) bytes of tombstones, \(log.live) alive")
      #expect(log.total < log.live * 3 / 2 + 4 * load.segmentBytes)
    }
  }

  @Test func oneTombstoneInTheHeldLogIsNoReasonForAnything() {
    // A large old piece with one dead record, and a deletion that nobody may drop yet.
    let load = Load(name: "held", keys: 1, bytes: 1...1, segmentBytes: 32 << 20)
    typealias Piece = CompactionPlanner.Piece
    let old = (0..<2).map { _ in
      Piece(bytes: 33_540_000, liveBytes: 33_539_720, lastLSN: LSN(100_000), cleanUpTo: LSN(500_000))
    }
    let held = Piece(
      bytes: 33_500_000, liveBytes: 300_000, keptBytes: 56, isEligible: false, lastLSN: LSN(400_000))
    let policy = CompactionPlanner.Policy(
      garbageRatio: 0.5, fileBytesMax: load.segmentBytes, indexBytes: 10 << 20, reservedBytes: 128 << 20)
    #expect(CompactionPlanner.choose(old + [held, held], policy) == nil)
  }
}
