import LogStore
import Replication

extension PartitionListing {
  package init(_ view: PartitionView) {
    self.init(
      table: view.table, lsn: view.lsn, reign: view.reign,
      records: view.records.map { ListedRecord(hash: $0.hash, lsn: $0.lsn, contentHash: $0.contentHash) })
  }
}

extension PartitionRecord {
  package init(_ listed: ListedRecord) {
    self.init(hash: listed.hash, lsn: listed.lsn, contentHash: listed.contentHash)
  }
}
