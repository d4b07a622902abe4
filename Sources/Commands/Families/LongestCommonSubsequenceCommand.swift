// Raw memory: two values are compared where they lie.
import LogStore
import RESP

/// LCS.
enum LongestCommonSubsequenceCommand {
  private struct LCSOptions {
    var indexes = false
    var lengthOnly = false
    var withLengths = false
    var matchBytesMin: Int64 = 0
  }

  /// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]
  static func run(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    var first: RecordView?
    var second: RecordView?
    try executor.consistently { () throws(CommandFailure) in
      first = try keys.read(arguments[1], in: session.database)
      second = try keys.read(arguments[2], in: session.database)
    }
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let a = keys.counted(first)?.value ?? nothing
    let b = keys.counted(second)?.value ?? nothing
    let options = try lcsOptions(arguments)
    do throws(LongestCommonSubsequence.Failure) {
      let found = try LongestCommonSubsequence(a, b, walksBack: options.indexes || !options.lengthOnly)
      answer(found, options, executor)
    } catch {
      throw switch error {
      case .beyondLimit:
        .text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
      case .outOfMemory: .text("ERR Insufficient memory, failed allocating transient memory for LCS")
      }
    }
  }

  private static func lcsOptions(_ arguments: borrowing ArgumentList) throws(CommandFailure) -> LCSOptions {
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

  private static func answer(_ found: borrowing LongestCommonSubsequence, _ options: LCSOptions, _ executor: Executor) {
    if options.indexes { return answerIndexes(found, options, executor) }
    if options.lengthOnly { return executor.reply.integer(Int64(found.length)) }
    // Filled from its end, as the walk goes.
    let text = executor.reply.bulkUninitialized(found.length)
    let a = found.a
    var end = found.length
    found.forEachMatch { match in
      end -= match.count
      if let place = text.baseAddress { copy(a[match.a..<match.a + match.count], to: place + end) }
    }
  }

  private static func answerIndexes(
    _ found: borrowing LongestCommonSubsequence, _ options: LCSOptions, _ executor: Executor
  ) {
    executor.reply.map(2)
    executor.reply.bulk("matches")
    let mark = executor.reply.beginArray()
    var count = 0
    found.forEachMatch { match in
      guard match.count >= options.matchBytesMin else { return }
      count += 1
      executor.reply.array(options.withLengths ? 3 : 2)
      for start in [match.a, match.b] {
        executor.reply.array(2)
        executor.reply.integer(Int64(start))
        executor.reply.integer(Int64(start + match.count - 1))
      }
      if options.withLengths { executor.reply.integer(Int64(match.count)) }
    }
    executor.reply.endArray(mark, count: count)
    executor.reply.bulk("len")
    executor.reply.integer(Int64(found.length))
  }
}
