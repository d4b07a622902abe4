import Core

// How a slave shows what it holds before its word counts. Little endian.
//
// prove   master to slave, only with the capability `proof`: u8 version, u32 number of the question, u64 LSN of the digest,
//         u64 first and u64 last LSN of the piece of log that is asked for (0 and 0: none)
// proof   slave to master: u8 version, u32 number of the question, u8 kind, u64 value.
//         Kinds: 1 the digest at that LSN, 2 checksum of the log from the first to the last LSN, 3 this node has passed that
//         LSN already. A kind that the master does not know shows nothing.

/// What a slave has shown on its present connection. What it acknowledges counts for a commit once it has shown either.
package enum Proof: UInt8, Hashable, Sendable, Comparable {
  /// It registered, and perhaps acknowledges: that says nothing yet.
  case none = 0
  /// The end of the log, record for record: what was not good yet when it was asked. Also what a node without an index shows.
  case log = 1
  /// The data: its digest at an LSN is this node's.
  case data = 2

  package static func < (a: Proof, b: Proof) -> Bool { a.rawValue < b.rawValue }
  package var name: String {
    switch self {
    case .none: "none"
    case .log: "log"
    case .data: "data"
    }
  }
}

/// Records that are to be summed up as they stand in the log.
package struct LogPiece: Hashable, Sendable {
  package let first: LSN
  package let last: LSN
  /// So many records at most: a few are proof enough.
  package static let recordsMax: UInt64 = 64

  /// nil when nothing lies between.
  package init?(after committed: LSN, upTo last: LSN) {
    guard last > committed else { return nil }
    self.first = LSN(last.value - min(last.value - committed.value - 1, Self.recordsMax - 1))
    self.last = last
  }
  fileprivate init(first: LSN, last: LSN) {
    self.first = first
    self.last = last
  }
  /// - Parameters:
  ///   - checksum: crc32c of the records.
  ///   - bytes: of all of them together.
  package static func sum(checksum: UInt32, bytes: Int) -> UInt64 {
    UInt64(checksum) | UInt64(truncatingIfNeeded: bytes) << 32
  }
}

package struct ProofQuestion: Hashable, Sendable {
  package var number: UInt32
  package var digestLSN: LSN
  package var piece: LogPiece?
  package init(number: UInt32, digestLSN: LSN, piece: LogPiece?) {
    self.number = number
    self.digestLSN = digestLSN
    self.piece = piece
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 32)
    out.u8(BodyCoding.version)
    out.u32(number)
    out.u64(digestLSN.value)
    out.u64(piece?.first.value ?? 0)
    out.u64(piece?.last.value ?? 0)
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> ProofQuestion {
    try BodyCoding.read(.prove, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let number = try reader.u32()
      let digest = try BodyCoding.lsn(&reader)
      let (first, last) = (try BodyCoding.lsn(&reader), try BodyCoding.lsn(&reader))
      guard first <= last, (first == .none) == (last == .none),
        first == .none || last.value - first.value < LogPiece.recordsMax
      else { throw FrameError(.badBody, "a question about the log from LSN \(first) to \(last)") }
      return ProofQuestion(
        number: number, digestLSN: digest, piece: first == .none ? nil : LogPiece(first: first, last: last))
    }
  }
}

package struct ProofAnswer: Hashable, Sendable {
  package enum Shown: Hashable, Sendable {
    case digest(UInt64)
    case log(UInt64)
    case passed
    /// Of a newer version.
    case other(UInt8)
  }
  package var number: UInt32
  package var shown: Shown
  package init(number: UInt32, shown: Shown) {
    self.number = number
    self.shown = shown
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 16)
    out.u8(BodyCoding.version)
    out.u32(number)
    switch shown {
    case .digest(let sum):
      out.u8(1)
      out.u64(sum)
    case .log(let sum):
      out.u8(2)
      out.u64(sum)
    case .passed:
      out.u8(3)
      out.u64(0)
    case .other(let kind):
      out.u8(kind)
      out.u64(0)
    }
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> ProofAnswer {
    try BodyCoding.read(.proof, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let number = try reader.u32()
      let kind = try reader.u8()
      let value = try reader.u64()
      switch kind {
      case 1: return ProofAnswer(number: number, shown: .digest(value))
      case 2: return ProofAnswer(number: number, shown: .log(value))
      case 3: return ProofAnswer(number: number, shown: .passed)
      case _: return ProofAnswer(number: number, shown: .other(kind))
      }
    }
  }
}

extension Digest {
  /// All of it in one number, which differs from question to question.
  package func summary(for question: UInt32) -> UInt64 {
    let bytes = encoded()
    return bytes.withUnsafeBytes { KeyHash.hash($0, seed: lsn.value ^ UInt64(question) << 32) }
  }
}

/// What the answer of a slave says.
package enum ProofVerdict: Hashable, Sendable {
  case shows(Proof)
  /// It was past that LSN when the question came: ask at a newer one.
  case passed
  /// It holds something else than it should.
  case differs
  /// Not an answer to this question.
  case ignored
}

/// The master's side: one question to one slave at a time, on one connection. Pure; the runner of the stream owns it.
package struct ProofRound: Hashable, Sendable {
  private struct Expected: Hashable {
    var number: UInt32
    var digest: UInt64
    var log: UInt64?
  }
  private var expected: Expected?
  private var asked: UInt32 = 0
  private var notBefore = Tick(milliseconds: 0)
  package private(set) var shown = Proof.none
  /// It has answered, rightly or not: from then on the digests that all slaves get tell it nothing that it could repeat.
  package private(set) var hasAnswered = false

  package init() {}

  /// A question may be asked: there is none out, and not all is shown.
  package func isDue(now: Tick) -> Bool { expected == nil && shown < .data && now >= notBefore }

  /// - Parameters:
  ///   - digest: this node's, of this moment.
  ///   - log: the sum of `piece` in this node's log.
  package mutating func ask(_ digest: Digest, _ piece: LogPiece?, log: UInt64?) -> ProofQuestion {
    precondition(expected == nil, "a question is out already: \(self)")
    asked &+= 1
    expected = Expected(number: asked, digest: digest.summary(for: asked), log: log)
    return ProofQuestion(number: asked, digestLSN: digest.lsn, piece: log == nil ? nil : piece)
  }

  package mutating func answered(_ answer: ProofAnswer, now: Tick) -> ProofVerdict {
    guard let expected, answer.number == expected.number else { return .ignored }
    hasAnswered = true
    switch answer.shown {
    case .digest(let sum):
      self.expected = nil
      guard sum == expected.digest else { return differs(now) }
      shown = .data
      return .shows(.data)
    case .log(let sum):
      guard let log = expected.log else { return .ignored }
      guard sum == log else {
        self.expected = nil
        return differs(now)
      }
      shown = max(shown, .log)
      return .shows(shown)
    case .passed:
      self.expected = nil
      return .passed
    case .other: return .ignored
    }
  }

  private mutating func differs(_ now: Tick) -> ProofVerdict {
    notBefore = now.advanced(by: Self.againMilliseconds)
    return .differs
  }
  private static let againMilliseconds: UInt64 = 1000
}
