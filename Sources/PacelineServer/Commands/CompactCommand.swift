import Commands
import RESP

/// COMPACT [NOWAIT]
extension ServerCore {
  /// Compacts everything that no slave's pin holds; answered when it is done, with what it did. NOWAIT answers at once:
  /// INFO paceline shows how far it is.
  func compact(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if arguments.count == 2, equalsIgnoringCase(arguments[1], "nowait") {
      node.compaction.compactAll { _ in }
      executor.reply.simple("Compaction started" as StaticString)
      return .done
    }
    guard arguments.count == 1 else { throw .syntax }
    let pending = PendingReply()
    let own = worker(of: executor)
    node.compaction.compactAll { report in
      pending.fulfil { executor in
        if !report.lastError.isEmpty { return executor.reply.error("ERR \(report.lastError)") }
        let lines: [(String, Int)] = [
          ("runs", report.runs), ("bytes_read", report.bytesRead), ("bytes_written", report.bytesWritten),
          ("records_dropped", report.recordsDropped),
        ]
        executor.reply.array(lines.count * 2)
        for (name, value) in lines {
          executor.reply.bulk(name)
          executor.reply.bulk(integer: Int64(value))
        }
      }
      own.eventLoop.execute { own.loop.release() }
    }
    return .suspended(.reply(pending))
  }
}
