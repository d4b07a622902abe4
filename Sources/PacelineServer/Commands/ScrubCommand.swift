// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import RESP

/// SCRUB, MS_FETCH_RECORDS
extension ServerCore {
  /// Checks every sealed file and repairs what can be; answered with what was found when it is done.
  func scrub(_ executor: Executor) -> Outcome {
    let pending = PendingReply()
    let own = worker(of: executor)
    scrubThread.scrubAll { report in
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
      own.eventLoop.execute { own.release() }
    }
    return .suspended(.reply(pending))
  }

  /// MS_FETCH_RECORDS lineage first-lsn last-lsn: the LSN to go on from (0: done), then whole records.
  func fetchRecords(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard decoded(arguments[1]) == directory.lineage.description else {
      throw .text("ERR this node has another data set")
    }
    guard let first = parseInteger(arguments[2]), let last = parseInteger(arguments[3]), first > 0, last >= first else {
      throw .notInteger
    }
    let store = self.store
    return inBackground(executor) {
      let found = store.fetchRecords(
        from: LSN(UInt64(first)), to: LSN(UInt64(last)), bytesMax: PeerRecords.bytesPerCall)
      return { executor in
        guard let found else { return executor.reply.error("ERR too many readers of the log; ask again") }
        executor.reply.array(found.records.count + 1)
        executor.reply.integer(Int64(clamping: found.next.value))
        for record in found.records { executor.reply.bulk(record) }
      }
    }
  }
}
