// Raw memory: two values are compared where they lie; rows and directions are in memory of the computation's own.
import LogStore
import RESP

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The longest common subsequence of two byte strings, by the classic table of lengths
/// (Wagner and Fischer, "The String-to-String Correction Problem", 1974).
///
/// Redis keeps the whole table, 4 bytes for each pair of prefixes. Here a row of it, as long as the shorter string, is
/// kept, and one bit for each pair: which way the walk back goes. Same limit, same answers, 1/32 of the memory.
struct LongestCommonSubsequence: ~Copyable {
  /// Redis's limit: a table of `proto-max-bulk-len`, 512 MiB. It bounds the time, too.
  static let tableBytesMax = 512 << 20

  let a: UnsafeRawBufferPointer
  let b: UnsafeRawBufferPointer
  private(set) var length = 0
  /// Bit `(i - 1) * stride + j - 1`, rows by the longer string: the walk back goes on in `a`.
  private var directions: UnsafeMutablePointer<UInt64>?
  private var longerIsA: Bool { a.count >= b.count }

  enum Failure: Error { case beyondLimit, outOfMemory }

  /// A table that Redis would refuse is refused before anything is allocated.
  static func fits(_ a: Int, _ b: Int) -> Bool {
    let (pairs, overflow) = (a + 1).multipliedReportingOverflow(by: b + 1)
    return !overflow && pairs <= tableBytesMax / 4
  }

  /// Computes the length; what `forEachMatch` needs is kept if `walksBack`. O(a * b).
  init(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, walksBack: Bool) throws(Failure) {
    self.a = a
    self.b = b
    guard Self.fits(a.count, b.count) else { throw .beyondLimit }
    guard a.count > 0, b.count > 0 else { return }
    let shorter = longerIsA ? b : a
    guard let memory = calloc(shorter.count + 1, 4) else { throw .outOfMemory }
    defer { free(memory) }
    if walksBack {
      let words = (a.count * b.count + 63) / 64
      guard let memory = calloc(words, 8) else { throw .outOfMemory }
      directions = memory.bindMemory(to: UInt64.self, capacity: words)
    }
    let row = memory.bindMemory(to: UInt32.self, capacity: shorter.count + 1)
    fill(row, longer: longerIsA ? a : b, shorter: shorter)
    length = Int(row[shorter.count])
  }

  deinit { free(directions) }

  private func fill(
    _ row: UnsafeMutablePointer<UInt32>, longer: UnsafeRawBufferPointer, shorter: UnsafeRawBufferPointer
  ) {
    let longerIsA = longerIsA
    var pair = 0
    for byte in longer {
      var diagonal: UInt32 = 0
      var beside: UInt32 = 0
      for j in 0..<shorter.count {
        let above = row[j + 1]
        if byte == shorter[j] {
          beside = diagonal + 1
        } else {
          // `above` leaves out the longer string's byte, `beside` the shorter one's. On a tie `b` gives way, as in Redis.
          let leavesOutA = longerIsA ? above > beside : beside > above
          if leavesOutA, let directions { directions[pair >> 6] |= 1 << UInt64(pair & 63) }
          beside = max(above, beside)
        }
        diagonal = above
        row[j + 1] = beside
        pair += 1
      }
    }
  }

  private func leavesOutA(_ i: Int, _ j: Int) -> Bool {
    let pair = longerIsA ? (i - 1) * b.count + j - 1 : (j - 1) * a.count + i - 1
    guard let directions else { preconditionFailure("the way back was not kept") }
    return directions[pair >> 6] >> UInt64(pair & 63) & 1 == 1
  }

  /// A run of bytes that both strings have in the subsequence. Offsets of its first byte.
  struct Match {
    var a: Int
    var b: Int
    var count: Int
  }

  /// Calls `body` with the runs of the subsequence, from the strings' ends to their beginnings. O(a + b).
  func forEachMatch(_ body: (Match) -> Void) {
    var i = a.count
    var j = b.count
    var open: Match?
    while i > 0, j > 0 {
      if a[i - 1] == b[j - 1] {
        i -= 1
        j -= 1
        open = Match(a: i, b: j, count: (open?.count ?? 0) + 1)
      } else {
        if let match = open { body(match) }
        open = nil
        if leavesOutA(i, j) { i -= 1 } else { j -= 1 }
      }
    }
    if let match = open { body(match) }
  }
}

extension Executor {
  private struct LCSOptions {
    var indexes = false
    var lengthOnly = false
    var withLengths = false
    var matchBytesMin: Int64 = 0
  }

  /// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]
  func longestCommonSubsequence(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    var first: RecordView?
    var second: RecordView?
    try consistently { () throws(CommandFailure) in
      first = try read(arguments[1], in: database)
      second = try read(arguments[2], in: database)
    }
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let a = counted(first)?.value ?? nothing
    let b = counted(second)?.value ?? nothing
    let options = try lcsOptions(arguments)
    do throws(LongestCommonSubsequence.Failure) {
      let found = try LongestCommonSubsequence(a, b, walksBack: options.indexes || !options.lengthOnly)
      answer(found, options)
    } catch {
      throw switch error {
      case .beyondLimit:
        .text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
      case .outOfMemory: .text("ERR Insufficient memory, failed allocating transient memory for LCS")
      }
    }
  }

  private func lcsOptions(_ arguments: borrowing ArgumentList) throws(CommandFailure) -> LCSOptions {
    var options = LCSOptions()
    var i = 3
    while i < arguments.count {
      let word = arguments[i]
      if isWord(word, "IDX") {
        options.indexes = true
      } else if isWord(word, "LEN") {
        options.lengthOnly = true
      } else if isWord(word, "WITHMATCHLEN") {
        options.withLengths = true
      } else if isWord(word, "MINMATCHLEN"), i + 1 < arguments.count {
        i += 1
        options.matchBytesMin = max(0, try integer(arguments[i]))
      } else {
        throw .syntax
      }
      i += 1
    }
    if options.indexes, options.lengthOnly {
      throw .text("ERR If you want both the length and indexes, please just use IDX.")
    }
    return options
  }

  private func answer(_ found: borrowing LongestCommonSubsequence, _ options: LCSOptions) {
    if options.indexes { return answerIndexes(found, options) }
    if options.lengthOnly { return reply.integer(Int64(found.length)) }
    // Filled from its end, as the walk goes.
    let text = reply.bulkUninitialized(found.length)
    let a = found.a
    var end = found.length
    found.forEachMatch { match in
      end -= match.count
      if let place = text.baseAddress { copy(a[match.a..<match.a + match.count], to: place + end) }
    }
  }

  private func answerIndexes(_ found: borrowing LongestCommonSubsequence, _ options: LCSOptions) {
    reply.map(2)
    reply.bulk("matches")
    let mark = reply.beginArray()
    var count = 0
    found.forEachMatch { match in
      guard match.count >= options.matchBytesMin else { return }
      count += 1
      reply.array(options.withLengths ? 3 : 2)
      for start in [match.a, match.b] {
        reply.array(2)
        reply.integer(Int64(start))
        reply.integer(Int64(start + match.count - 1))
      }
      if options.withLengths { reply.integer(Int64(match.count)) }
    }
    reply.endArray(mark, count: count)
    reply.bulk("len")
    reply.integer(Int64(found.length))
  }
}
