import Commands
import RESP
import Testing

#if canImport(Glibc)
  import Glibc

  /// Prints what a command costs; asserts no figure. Runs with `PACELINE_TIMING=1`.
  @Suite(.enabled(if: getenv("PACELINE_TIMING") != nil))
  struct ParserTimingTests {
    private func nanoseconds() -> UInt64 {
      var now = timespec()
      clock_gettime(CLOCK_MONOTONIC, &now)
      return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    @Test func `64 pipelined SET commands, parsed and answered`() {
      let key = "key:000000012345"
      let value = String(repeating: "x", count: 100)
      let one = "*3\r\n$3\r\nSET\r\n$16\r\n\(key)\r\n$100\r\n\(value)\r\n"
      let input = Array(String(repeating: one, count: 64).utf8)
      var parser = RequestParser()
      var list = ArgumentList()
      var reply = ReplyBuffer()
      let limits = RequestLimits()
      let lookup = CommandTable.data.lookup
      let rounds = 100_000
      func run(answering: Bool) -> (seconds: Double, sum: Int) {
        var sum = 0
        let begin = nanoseconds()
        input.withUnsafeBytes { buffer in
          for _ in 0..<rounds {
            var at = buffer.baseAddress!
            var left = buffer.count
            reply.removeAll()
            while left > 0 {
              guard case .command(let consumed) = parser.next(at, count: left, limits: limits, into: &list) else {
                Issue.record("not a command")
                return
              }
              sum &+= list[1].count
              if answering {
                if let command = lookup.find(list[0]) { sum &+= Int(command.number) }
                reply.ok()
              }
              at += consumed
              left -= consumed
            }
          }
        }
        return (Double(nanoseconds() - begin) / 1e9, sum)
      }
      for answering in [false, true, false, true] {
        let result = run(answering: answering)
        let rate = Double(rounds * 64) / result.seconds / 1e6
        let what = answering ? "parse + lookup + OK" : "parse only"
        print("SET, pipeline 64, \(what): \(rate) M commands/s (\(result.sum))")
      }
    }
  }
#endif
