import CSupport
import LogStore
import Logging

/// File handles are shared out at the start: clients never take those that the log needs.
enum FileHandles {
  /// For log, index and generation files, and for what listens and connects.
  private static let storeReserve = 64
  /// An event loop has three handles; besides the clients' loops there are at most six.
  private static let perLoop = 3
  private static let otherLoops = 6
  private static let clientsMin = 8

  /// How many clients there may be: as many as wanted, if the limit of open files, raised as far as it goes, is enough.
  static func clients(wanted: Int, loops: Int, logger: Logger) throws(OpenError) -> Int {
    let reserve = storeReserve + perLoop * (loops + otherLoops)
    let limit = paceline_raise_file_limit(Int64(reserve + wanted))
    guard limit >= 0, limit < reserve + wanted else { return wanted }
    guard limit >= reserve + clientsMin else {
      throw OpenError(
        "too few file handles: this process may have \(limit) open files and needs \(reserve + clientsMin) at least. Raise "
          + "the limit (ulimit -n, LimitNOFILE=)")
    }
    let clients = Int(limit) - reserve
    logger.warning(
      "max-clients is lowered: the limit of open files does not allow more (ulimit -n)",
      metadata: ["clients.wanted": "\(wanted)", "clients.max": "\(clients)", "files.max": "\(limit)"])
    return clients
  }
}
