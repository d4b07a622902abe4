// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import RESP
import Replication

/// MS_DIGEST_PARTITIONS, MS_PARTITION_RECORDS, DEBUG INDEX-DROP and INDEX-POINT
extension ServerCore {
  /// About how many records one answer of MS_PARTITION_RECORDS lists.
  static let listedRecordsMax = 1 << 16

  private func checkLineage(_ argument: UnsafeRawBufferPointer) throws(CommandFailure) {
    guard decoded(argument) == directory.lineage.description else {
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
    guard let sums = digestRepair.sums(at: LSN(UInt64(lsn)), database: database) else {
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

  /// DEBUG INDEX-DROP key [SILENT], DEBUG INDEX-POINT lsn: damage that must be found and repaired. On a slave only, whose
  /// master has the data.
  func breakIndex(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard !isMaster else { throw .text("ERR only a slave's index can be damaged on purpose") }
    let isDrop = equalsIgnoringCase(arguments[1], "index-drop")
    let isSilent = arguments.count == 4 && equalsIgnoringCase(arguments[3], "silent")
    guard arguments.count == 3 || isDrop && isSilent else { throw .syntax }
    var lsn: Int64 = 0
    if !isDrop {
      guard let number = parseInteger(arguments[2]), number > 0 else { throw .notInteger }
      lsn = number
    }
    let isDone = still(executor) { store in
      isDrop
        ? store.breakIndex(dropping: arguments[2], database: session.database, silently: isSilent)
        : store.breakIndex(pointingAt: LSN(UInt64(lsn)))
    }
    guard isDone else { throw .noSuchKey }
    executor.reply.ok()
  }
}

extension PartitionListing {
  init(_ view: PartitionView) {
    self.init(
      table: view.table, lsn: view.lsn, reign: view.reign,
      records: view.records.map { ListedRecord(hash: $0.hash, lsn: $0.lsn, contentHash: $0.contentHash) })
  }
}

extension PartitionRecord {
  init(_ listed: ListedRecord) { self.init(hash: listed.hash, lsn: listed.lsn, contentHash: listed.contentHash) }
}
