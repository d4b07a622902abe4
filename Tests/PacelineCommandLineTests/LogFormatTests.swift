import PacelineServer
import Testing
import paceline

@Suite struct LogFormatTests {
  private func line(_ format: ServerConfiguration.LogFormatSetting, _ message: String, _ values: [String: String])
    -> String
  {
    LogFormat.line(
      format, milliseconds: 1_795_225_062_123, level: .info, source: "replication", message: message,
      metadata: values.mapValues { .string($0) })
  }

  @Test func textHasSortedKeys() {
    let text = line(.text, "slave registered", ["slave.lag": "0", "slave.id": "4f2a"])
    #expect(text == "2026-11-21T01:37:42.123Z info    replication slave registered slave.id=4f2a slave.lag=0\n")
  }

  @Test func noValueLeavesItsPlace() {
    let text = line(
      .text, "x", ["a": "", "b": "two words", "c": "\n2026 fake line", "d": "k=v", "e": "\"", "f": "\u{1B}[2J"])
    #expect(text.filter { $0 == "\n" }.count == 1 && !text.contains("\u{1B}"))
    #expect(text.contains(" a=\"\" b=\"two words\" c=\"\\n2026 fake line\" d=\"k=v\" e=\"\\\"\" "))
    #expect(line(.text, "a\nb", [:]).filter { $0 == "\n" }.count == 1)
  }

  @Test func jsonIsOneObjectALine() {
    let text = line(.json, "slave \"registered\"", ["slave.id": "4f2a", "a": "x\ny"])
    let expected =
      #"{"time":"2026-11-21T01:37:42.123Z","level":"info","source":"replication","#
      + #""message":"slave \"registered\"","a":"x\ny","slave.id":"4f2a"}"# + "\n"
    #expect(text == expected)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (4_107_542_399_999, "2100-02-28T23:59:59.999Z"), (-1, "1969-12-31T23:59:59.999Z"),
    ] as [(Int64, String)])
  func timestampsAreUTC(milliseconds: Int64, text: String) { #expect(LogFormat.timestamp(milliseconds) == text) }

  @Test func theSourceIsTheLabelsEnd() {
    #expect(LogFormat.source(ofLabel: "paceline.replication") == "replication")
    #expect(LogFormat.source(ofLabel: "paceline") == "server")
    #expect(LogFormat.source(ofLabel: "other.thing") == "other.thing")
  }
}
