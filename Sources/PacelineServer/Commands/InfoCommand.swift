import Commands
import NIOCore
import RESP

/// INFO: the figures of `NodeStatus`.
extension ServerCore {
  /// INFO [section ...]
  func info(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    var names: [String] = []
    for i in 1..<max(1, arguments.count) { names.append(decoded(arguments[i])) }
    let sections = NodeStatus.sections(named: names)
    executor.reply.verbatim(NodeStatus(self, executor, for: sections).info(sections))
  }

  // MARK: Figures

  /// Sums over all loops since the start.
  var totals: ServerFigures {
    var sum = workers.reduce(into: ServerFigures()) { $0 = $0 + $1.counters.figures }
    sum.connections = UInt64(clamping: accepted.load(ordering: .relaxed))
    sum.rejected = UInt64(clamping: rejected.load(ordering: .relaxed))
    return sum
  }

  /// Starts what the commands of the server need regularly. Once, when the loops are there.
  func startService() {
    configureSlowLog(configuration)
    workers.first?.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [weak self] task in
      guard let self else { return task.cancel() }
      service.statistics.sample(totals, memory: ProcessFigures.memory.used, now: Clocks.monotonic)
    }
  }
}

// MARK: Numbers as Redis prints them

/// `1.02M`
func human(_ bytes: UInt64) -> String {
  if bytes < 1024 { return "\(bytes)B" }
  var value = Double(bytes)
  for unit in ["K", "M", "G", "T", "P"] {
    value /= 1024
    if value < 1024 { return fixed(value, 2) + unit }
  }
  return "\(bytes)B"
}

/// A number that is not negative, with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, value >= 0, value < 1e12 else { return "0" }
  var scale: UInt64 = 1
  for _ in 0..<digits { scale *= 10 }
  let rounded = UInt64((value * Double(scale)).rounded())
  let fraction = String(rounded % scale)
  return "\(rounded / scale)." + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
}

func percent(_ part: UInt64, of whole: UInt64) -> String {
  fixed(whole == 0 ? 0 : Double(part) * 100 / Double(whole), 2) + "%"
}
