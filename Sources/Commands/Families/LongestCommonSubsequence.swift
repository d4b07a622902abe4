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
