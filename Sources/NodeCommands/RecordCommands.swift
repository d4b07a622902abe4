// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

// MS_FETCH_RECORDS, MS_DIGEST_PARTITIONS and MS_PARTITION_RECORDS: what another node asks for to repair its data.
extension RowCommands {
  /// About how many records one answer of MS_PARTITION_RECORDS lists.
  private static let listedRecordsMax = 1 << 16
  /// About how many bytes of records one answer of MS_FETCH_RECORDS has.
  private static let fetchedBytesMax = 1 << 20

  private func checkLineage(_ argument: UnsafeRawBufferPointer) throws(CommandFailure) {
    guard text(argument) == directory.lineage.description else {
      throw .text("ERR this node has another data set")
    }
  }

  private func database(_ argument: UnsafeRawBufferPointer) throws(CommandFailure) -> Int {
    guard let number = parseInteger(argument) else { throw .notInteger }
    guard number >= 0, number < store.databases else { throw .databaseOutOfRange }
    return Int(number)
  }

  /// MS_DIGEST_PARTITIONS lineage lsn database: the LSN, then the sums of all partitions as they were in the digest that
  /// this node sent at that LSN.
  func digestPartitions(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    try checkLineage(arguments[1])
    guard let lsn = parseInteger(arguments[2]), lsn >= 0 else { throw .notInteger }
    let database = try database(arguments[3])
    guard let sums = node.digestSamples.sums(at: LSN(UInt64(lsn)), database: database) else {
      throw .text("ERR the digest at that LSN is not kept any more")
    }
    executor.reply.array(2)
    executor.reply.integer(lsn)
    executor.reply.bulk(sums.encoded())
  }

  /// MS_PARTITION_RECORDS lineage database partition tag: the tag to go on from (0: done), then what is alive.
  func partitionRecords(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    try checkLineage(arguments[1])
    let database = try database(arguments[2])
    guard let partition = parseInteger(arguments[3]), let tag = parseInteger(arguments[4]) else { throw .notInteger }
    guard partition >= 0, partition < KeyIndex.partitionCount, tag >= 0, tag < 1 << 24 else {
      throw .text("ERR no such partition or tag")
    }
    let store = self.store
    return inBackground(executor) {
      let view = try store.partitionView(
        database: database, partition: Int(partition), from: UInt64(tag), to: nil, recordsMax: Self.listedRecordsMax)
      let body = PartitionListing(view).encoded()
      return { executor in
        executor.reply.array(2)
        executor.reply.integer(Int64(view.next))
        executor.reply.bulk(body)
      }
    }
  }

  /// MS_FETCH_RECORDS lineage first-lsn last-lsn: the LSN to go on from (0: done), then whole records.
  func fetchRecords(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    try checkLineage(arguments[1])
    guard let first = parseInteger(arguments[2]), let last = parseInteger(arguments[3]), first > 0, last >= first else {
      throw .notInteger
    }
    let store = self.store
    return inBackground(executor) {
      let found = store.fetchRecords(
        from: LSN(UInt64(first)), to: LSN(UInt64(last)), bytesMax: Self.fetchedBytesMax)
      return { executor in
        guard let found else { return executor.reply.error("ERR too many readers of the log; ask again") }
        executor.reply.array(found.records.count + 1)
        executor.reply.integer(Int64(clamping: found.next.value))
        for record in found.records { executor.reply.bulk(record) }
      }
    }
  }
}
