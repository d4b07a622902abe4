import Core

/// What a start makes of the copies of the vote and of the generations beside them. Pure.
///
/// A vote that was told to anybody stands in both copies. So one good copy is enough, and whatever is newer than it was
/// told to nobody. Without a good copy the node does not know how it voted: a generation says up to which term it may have
/// (`voteCeiling`), and in those terms it neither votes nor stands.
public struct VoteJudgement: Equatable, Sendable {
  public enum Copy: Equatable, Sendable {
    case missing
    case damaged(String)
    case good(VoteFile)
  }
  /// What holds from here on.
  public var file: VoteFile
  /// Not both copies say so.
  public var needsWriting = false
  /// For the log.
  public var notes: [String] = []
  /// Why the node is not sure; nil: it is.
  public var doubt: String?

  /// A term up to which nothing is known at all.
  public static let allTerms = Term(.max)
  /// A directory may lose its newest generations to damage. If it lacks more than it keeps, it is an older one.
  private static let generationsKept: UInt64 = 3

  /// - Parameters:
  ///   - newest: the newest readable generation.
  ///   - readable: all readable ones.
  ///   - highest: the number of the newest generation that is there, readable or not.
  public init(copies: [Copy], newest: DirectoryFile, readable: [DirectoryFile], highest: UInt64) {
    file = VoteFile(node: newest.node, lineage: newest.lineage)
    let isNewestReadable = highest <= newest.generation
    let ofData = readable.filter { $0.lineage == newest.lineage && $0.node == newest.node }
    // A newer one may name an older vote: an operator took the later one back.
    let isAlone = isNewestReadable && newest.voteCeiling != nil
    let named = isAlone ? newest.vote : ofData.map(\.vote).max { $0.term < $1.term } ?? newest.vote
    var good: [VoteFile] = []
    for (copy, name) in zip(copies, VoteFile.names) {
      switch copy {
      case .good(let vote) where vote.node == newest.node && vote.lineage == newest.lineage: good.append(vote)
      case .good: notes.append("\(name) is of another node or data set and counts nothing")
      case .damaged(let why): notes.append("\(name) is damaged (\(why))")
      case .missing: break
      }
    }
    guard let ceiling = newest.voteCeiling else {
      // Written before votes had files of their own: the generations are the vote.
      file.vote = ([named] + good.map(\.vote)).max { $0.term < $1.term } ?? named
      file.sequence = good.map(\.sequence).max() ?? 0
      needsWriting = file.vote.term > .none
      if !isNewestReadable {
        isUnsure(upTo: Self.allTerms, "the newest generation, which held the vote, cannot be read")
      }
      return
    }
    let mayHaveVotedIn = isNewestReadable ? max(ceiling, named.term) : Self.allTerms
    guard let last = good.max(by: { $0.sequence < $1.sequence }) else {
      file.vote = named
      guard ceiling > .none || named.term > .none || !isNewestReadable else { return }
      isUnsure(upTo: mayHaveVotedIn, "no copy of the vote can be read")
      return
    }
    file = last
    needsWriting = good.count < copies.count || good.contains { $0 != last }
    if good.contains(where: { $0.sequence == last.sequence && $0.vote != last.vote }) {
      isUnsure(upTo: good.map(\.vote.term).reduce(max(ceiling, named.term), max), "the two copies of the vote differ")
    } else if named.term > last.vote.term {
      file.vote = named
      isUnsure(upTo: mayHaveVotedIn, "both copies of the vote are older than the data directory")
    } else if last.generation >= highest + Self.generationsKept {
      isUnsure(upTo: max(last.vote.term, ceiling), "the data directory is older than the vote in it")
    }
  }

  private mutating func isUnsure(upTo term: Term, _ why: String) {
    file.unsureUpTo = max(file.unsureUpTo, term)
    needsWriting = true
    doubt = why
  }
}
