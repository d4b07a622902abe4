import Commands

/// Of each command: how often it was called, how it ended, how long it took, since the start or CONFIG RESETSTAT.
struct CommandStatus: Sendable {
  let commands: [(name: String, sum: CommandFigures.Sum)]
  let percentiles: [Double]

  init(_ server: ServerCore, withLatencies: Bool) {
    commands = server.commandFigures(withLatencies: withLatencies)
    percentiles = server.configuration.latencyPercentiles
  }

  static let countFields: [StatusField<CommandStatus>] = [
    .init(
      each: "cmdstat_<command>",
      "calls that were executed, their time in microseconds, those refused before, and those that ended with an error"
    ) { status in
      status.commands.map { name, sum in
        let microseconds = sum.nanoseconds / 1000
        let each = fixed(sum.calls == 0 ? 0 : Double(microseconds) / Double(sum.calls), 2)
        return (
          "cmdstat_\(name)",
          .text(
            "calls=\(sum.calls),usec=\(microseconds),usec_per_call=\(each),rejected_calls=\(sum.rejected),failed_calls=\(sum.failed)"
          )
        )
      }
    }
  ]

  static let latencyFields: [StatusField<CommandStatus>] = [
    .init(
      each: "latency_percentiles_usec_<command>",
      "microseconds that so many percent of the calls did not exceed; see `latency-tracking-info-percentiles`"
    ) { status in
      status.commands.filter { !$0.sum.latencies.isEmpty }.map { name, sum in
        let texts = status.percentiles.map { percent in
          "p\(SettingText.numberText(percent))=\(fixed(Double(sum.latencies.percentile(percent)) / 1000, 3))"
        }
        return ("latency_percentiles_usec_\(name)", .text(texts.joined(separator: ",")))
      }
    }
  ]
}
