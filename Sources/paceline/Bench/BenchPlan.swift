import PacelineClient

/// What to measure: the command line's options after they were checked.
struct BenchPlan: Sendable {
  enum End: Sendable {
    case afterSeconds(Double)
    case afterRequests(Int)
  }

  let nodes: [NodeAddress]
  let password: String?
  let clients: Int
  let pipeline: Int
  let threads: Int
  let valueBytes: Int
  let readShare: Double
  let keyCount: UInt64
  let distribution: KeyDistribution
  let end: End
  let warmupSeconds: Double
  let loadsKeys: Bool
  let measuresStaleness: Bool
  let seed: UInt64

  /// Replies waited for this long mean that the connection is dead.
  static let replyTimeoutSeconds: Int64 = 5
  /// Without any reply from any node for this long a run is given up.
  static let silenceSecondsMax = 10.0
  /// Between two attempts to connect to a node that is gone.
  static let reconnectMilliseconds: Int64 = 200
  /// Requests in a batch while the keys are loaded: about a mebibyte at most, however long the values are.
  var loadPipeline: Int { max(1, min(64, (1 << 20) / max(1, valueBytes))) }
}

/// Why there is nothing to measure. The text says what to do about it.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
