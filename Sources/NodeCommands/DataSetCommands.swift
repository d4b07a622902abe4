// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import Node
import RESP
import Replication

// Which data set counts, and what was given up for another one.
extension RowCommands {
  /// MS_NEW_DATA_SET
  func declareDataSet(_ executor: Executor) -> Outcome {
    let pending = PendingReply()
    host.runBlocking { [self] in
      node.declareDataSet { [self] failure in
        answer(pending) { executor in
          if let failure { executor.reply.error("ERR \(failure)") } else { executor.reply.ok() }
        }
      }
    }
    return suspended(pending, executor)
  }

  /// MS_REPLACED [LIST] gives an array of [name, data set, term:LSN, seconds since 1970, bytes]; MS_REPLACED REMOVE name|ALL
  /// how many were removed.
  func replaced(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if arguments.count == 1 || arguments.count == 2 && equalsIgnoringCase(arguments[1], "list") {
      let stores = directory.replacedStores.sorted { ($0.atSeconds, $0.name) < ($1.atSeconds, $1.name) }
      executor.reply.array(stores.count)
      for store in stores {
        executor.reply.array(5)
        executor.reply.bulk(store.name)
        executor.reply.bulk(store.lineage.description)
        executor.reply.bulk(store.last.description)
        executor.reply.integer(Int64(clamping: store.atSeconds))
        executor.reply.integer(Int64(clamping: store.bytes))
      }
      return .done
    }
    guard arguments.count == 3, equalsIgnoringCase(arguments[1], "remove") else { throw .syntax }
    let name = equalsIgnoringCase(arguments[2], "all") ? nil : text(arguments[2])
    let pending = PendingReply()
    host.runBlocking { [self] in
      let count = node.removeReplaced(named: name)
      answer(pending) { executor in
        if count == 0, name != nil {
          executor.reply.error("ERR no such store was set aside: see MS_REPLACED LIST")
        } else {
          executor.reply.integer(Int64(count))
        }
      }
    }
    return suspended(pending, executor)
  }
}
