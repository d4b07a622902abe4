/// Hints for clients and proxies that send one command to several nodes, as `COMMAND INFO` gives them.
package struct CommandTips: OptionSet, Sendable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let anyOutput = CommandTips(rawValue: 1 << 0)
  package static let anyOrder = CommandTips(rawValue: 1 << 1)
  package static let allNodes = CommandTips(rawValue: 1 << 2)
  package static let allShards = CommandTips(rawValue: 1 << 3)
  package static let multiShard = CommandTips(rawValue: 1 << 4)
  package static let specialRequest = CommandTips(rawValue: 1 << 5)
  package static let allSucceeded = CommandTips(rawValue: 1 << 6)
  package static let minimum = CommandTips(rawValue: 1 << 7)
  package static let sum = CommandTips(rawValue: 1 << 8)
  package static let specialResponse = CommandTips(rawValue: 1 << 9)

  static let names: [StaticString] = [
    "nondeterministic_output", "nondeterministic_output_order", "request_policy:all_nodes",
    "request_policy:all_shards", "request_policy:multi_shard", "request_policy:special",
    "response_policy:all_succeeded", "response_policy:agg_min", "response_policy:agg_sum", "response_policy:special",
  ]
}
