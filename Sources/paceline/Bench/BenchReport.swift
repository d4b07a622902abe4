import PacelineClient

/// One line while a phase runs.
struct BenchProgress: Sendable {
  let phase: String
  let seconds: Double
  /// Seconds that `measure` covers.
  let interval: Double
  let measure: NodeMeasure

  var line: String {
    let rate = HumanText.count(UInt64(Double(measure.operations) / max(interval, 1e-3)))
    return
      "\(phase) \(HumanText.decimal(seconds, digits: 0)) s: \(rate) ops/s, p99 \(measure.percentile(99)) ms, "
      + "errors \(HumanText.count(measure.errors))"
  }
}

/// What a run found out.
struct BenchReport: Sendable {
  let survey: NodeSurvey
  let measures: [NodeMeasure]
  let elapsedSeconds: Double
  /// Of this process, during the run.
  let cpuSeconds: Double
  let staleness: [StalenessProbe.Result]
  let firstError: String?
  /// Nobody answered any more, so the run ended before its time or its number of requests.
  let gaveUp: Bool

  var total: NodeMeasure { measures.reduce(into: NodeMeasure()) { $0.add($1) } }

  private func role(_ node: Int) -> String {
    switch survey.roles[node] {
    case .master: "master"
    case .slave: "slave"
    case .other(let name): name
    case nil: "-"
    }
  }

  private func perSecond(_ count: UInt64) -> Double { elapsedSeconds > 0 ? Double(count) / elapsedSeconds : 0 }

  // MARK: For people

  func lines(colour: Bool) -> [String] {
    var table = TextTable([
      ("node", .left), ("role", .left), ("operations", .right), ("ops/s", .right), ("p50 ms", .right),
      ("p99 ms", .right),
      ("p99.9 ms", .right), ("max ms", .right), ("hits", .right), ("misses", .right), ("writes", .right),
      ("errors", .right),
    ])
    for (i, measure) in measures.enumerated() { table.add(row(survey.nodes[i].description, role(i), measure, .plain)) }
    table.add(row("total", "", total, .bold))
    var lines = table.lines(colour: colour)

    if !staleness.isEmpty {
      var ages = TextTable([
        ("staleness of", .left), ("probe reads", .right), ("current", .right), ("p50 ms", .right), ("p99 ms", .right),
        ("max ms", .right), ("errors", .right),
      ])
      for result in staleness {
        let none = result.ages.totalCount == 0
        func age(_ nanoseconds: UInt64) -> TextTable.Cell {
          .init(none ? "-" : HumanText.millisecondsText(nanoseconds: nanoseconds))
        }
        let current = none ? "-" : HumanText.decimal(100 * result.currentShare, digits: 1) + " %"
        ages.add([
          .init(result.node.description), .init(HumanText.count(result.reads)), .init(current),
          age(result.age(percentile: 50)), age(result.age(percentile: 99)), age(result.ages.maxRecorded),
          .init(HumanText.count(result.errors), result.errors > 0 ? .bad : .plain),
        ])
      }
      lines += [""] + ages.lines(colour: colour)
    }

    let cores = HumanText.decimal(elapsedSeconds > 0 ? cpuSeconds / elapsedSeconds : 0, digits: 2)
    let perOperation = total.operations > 0 ? cpuSeconds / Double(total.operations) * 1e6 : 0
    lines.append("")
    lines.append(
      "\(HumanText.decimal(elapsedSeconds, digits: 2)) s; this client took \(HumanText.decimal(cpuSeconds, digits: 2)) s "
        + "of CPU (\(cores) cores, \(HumanText.decimal(perOperation, digits: 2)) us an operation)"
    )
    if total.errors > 0, let firstError { lines.append("first error: \(HumanText.harmless(firstError))") }
    return lines
  }

  private func row(_ name: String, _ role: String, _ measure: NodeMeasure, _ style: TextTable.Style) -> [TextTable.Cell]
  {
    let texts = [
      name, role, HumanText.count(measure.operations), HumanText.count(UInt64(perSecond(measure.operations).rounded())),
      measure.percentile(50), measure.percentile(99), measure.percentile(99.9), measure.maximum,
      HumanText.count(measure.hits), HumanText.count(measure.misses), HumanText.count(measure.writes),
    ]
    let errors = TextTable.Cell(HumanText.count(measure.errors), measure.errors > 0 ? .bad : style)
    return texts.map { .init($0, style) } + [errors]
  }

  // MARK: For programs

  var json: JSONText {
    let nodes = measures.indices.map { i in
      JSONText.object(
        [("node", .string(survey.nodes[i].description)), ("role", .string(role(i)))] + members(measures[i]))
    }
    return .object([
      ("elapsed_seconds", .number(elapsedSeconds)), ("client_cpu_seconds", .number(cpuSeconds)),
      ("total", .object(members(total))), ("nodes", .array(nodes)), ("staleness", .array(staleness.map(json))),
      ("first_error", JSONText(total.errors > 0 ? firstError : nil)),
    ])
  }

  private func members(_ measure: NodeMeasure) -> [(String, JSONText)] {
    func milliseconds(_ percentage: Double) -> JSONText {
      measure.latency.totalCount == 0 ? .null : .number(Double(measure.latency.valueAtPercentile(percentage)) / 1e6)
    }
    return [
      ("operations", .integer(measure.operations)), ("ops_per_second", .number(perSecond(measure.operations))),
      ("p50_ms", milliseconds(50)), ("p99_ms", milliseconds(99)), ("p99_9_ms", milliseconds(99.9)),
      ("max_ms", measure.latency.totalCount == 0 ? .null : .number(Double(measure.latency.maxRecorded) / 1e6)),
      ("reads", .integer(measure.reads)), ("hits", .integer(measure.hits)), ("misses", .integer(measure.misses)),
      ("writes", .integer(measure.writes)), ("errors", .integer(measure.errors)),
    ]
  }

  private func json(_ result: StalenessProbe.Result) -> JSONText {
    func milliseconds(_ nanoseconds: UInt64) -> JSONText {
      result.ages.totalCount == 0 ? .null : .number(Double(nanoseconds) / 1e6)
    }
    return .object([
      ("node", .string(result.node.description)), ("probe_reads", .integer(result.reads)),
      ("current_share", result.ages.totalCount == 0 ? .null : .number(result.currentShare)),
      ("p50_ms", milliseconds(result.age(percentile: 50))), ("p99_ms", milliseconds(result.age(percentile: 99))),
      ("max_ms", milliseconds(result.ages.maxRecorded)), ("errors", .integer(result.errors)),
    ])
  }
}
