/// The digest of a database, at the applied LSN.
public struct DatabaseDigest: Equatable, Sendable {
  public let database: Int
  public let table: UInt32
  public let sum: UInt64
  public let keys: Int
}

extension LogStore {
  /// Of every database.
  public func digests(_ access: borrowing WriteAccess) -> [DatabaseDigest] {
    (0..<databases).map { database in
      let (sum, keys) = tables.sums(database)
      return DatabaseDigest(database: database, table: table(database).pointee.id, sum: sum, keys: keys)
    }
  }
}
