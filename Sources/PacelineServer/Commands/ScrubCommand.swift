import Commands
import RESP

/// SCRUB
extension ServerCore {
  /// Checks every sealed file and repairs what can be; answered with what was found when it is done.
  func scrub(_ executor: Executor) -> Outcome {
    let pending = PendingReply()
    let own = worker(of: executor)
    node.scrub.scrubAll { report in
      pending.fulfil { executor in
        let lines: [(String, Int)] = [
          ("files", report.files), ("bytes", report.bytes), ("damaged_files", report.damagedFiles),
          ("damaged_records", report.damagedRecords), ("repaired_records", report.repairedRecords),
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
