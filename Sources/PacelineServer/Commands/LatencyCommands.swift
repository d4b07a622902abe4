// Raw memory: looks at names where they lie.
import Commands
import RESP

/// LATENCY: how long commands took. Single slow events are not recorded: SLOWLOG has what was slow.
extension ServerCore {
  /// The figures of every command and subcommand, or of one row and its subcommands, over all loops; only of those that
  /// were called or refused.
  func commandFigures(
    of rows: [CommandRow] = CommandTable.server.rows, withLatencies: Bool
  ) -> [(name: String, sum: CommandFigures.Sum)] {
    let loops = workers.map(\.loop.executor.figures)
    return rows.flatMap { [$0] + $0.subcommands }.compactMap { row in
      var sum = CommandFigures.Sum()
      for loop in loops { loop.add(row.figure, to: &sum, withLatencies: withLatencies) }
      return sum.isEmpty ? nil : (row.name, sum)
    }
  }

  /// LATENCY HISTOGRAM [command ...]
  func latencyHistogram(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    var rows = arguments.count == 2 ? CommandTable.server.rows : []
    for i in 2..<max(2, arguments.count) {
      if let row = executor.table.row(named: arguments[i]) { rows.append(row) }
    }
    let found = commandFigures(of: rows, withLatencies: true).filter { !$0.sum.latencies.isEmpty }
    executor.reply.map(found.count)
    for (name, sum) in found {
      let steps = sum.latencies.distribution(of: sum.calls)
      executor.reply.bulk(name)
      executor.reply.map(2)
      executor.reply.bulk("calls")
      executor.reply.integer(Int64(clamping: sum.calls))
      executor.reply.bulk("histogram_usec")
      executor.reply.map(steps.count)
      for step in steps {
        executor.reply.integer(Int64(clamping: step.microseconds))
        executor.reply.integer(Int64(clamping: step.calls))
      }
    }
  }

  // MARK: Events: none is recorded

  /// LATENCY LATEST, LATENCY HISTORY event
  func latencyEvents(_ executor: Executor) { executor.reply.array(0) }

  func resetLatency(_ executor: Executor) { executor.reply.integer(0) }

  func latencyGraph(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    executor.reply.error("ERR No samples available for event '", quoting: arguments[2], "'")
  }

  func latencyDoctor(_ executor: Executor) {
    executor.reply.verbatim(
      """
      I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use "CONFIG \
      SET latency-monitor-threshold <milliseconds>." in order to enable it. If we weren't in a deep space mission I'd \
      suggest to take a look at https://redis.io/topics/latency-monitor.

      """)
  }
}
