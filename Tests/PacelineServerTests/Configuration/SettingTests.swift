import LogStore
import Testing

@testable import PacelineServer

@Suite struct SettingTests {
  @Test func everyNameIsUniqueAndFitForFlagsAndVariables() {
    let names = Setting.all.map(\.name)
    #expect(Set(names).count == names.count)
    for name in names {
      #expect(name.allSatisfy { ("a"..."z").contains($0) || $0 == "-" } && !name.hasPrefix("-") && !name.hasSuffix("-"))
    }
    #expect(Setting.environmentName("sync-rate") == "PACELINE_SYNC_RATE")
  }

  @Test(arguments: Setting.all.map(\.name))
  func theDefaultReadsBackAsItself(name: String) throws {
    let setting = try #require(Setting.named(name))
    #expect(!setting.help.isEmpty && !setting.valueName.isEmpty)
    var configuration = ServerConfiguration()
    // Settings without a value are given by leaving them out; a required one has a default.
    if !setting.defaultText.isEmpty || setting.isSecret {
      try setting.write(setting.defaultText, to: &configuration, from: .flag)
    }
    for other in Setting.all { #expect(other.read(configuration) == other.defaultText, "\(other.name)") }
  }

  static let examples: [(name: String, text: String, readsBack: String)] = [
    ("bind", "::", "::"), ("port", "1", "1"), ("announce", "[::1]:7401", "[::1]:7401"), ("announce", "db1", "db1"),
    ("announce", "[fe80::1]", "[fe80::1]"), ("requirepass", "-x y", "-x y"), ("requirepass-file", "/p", "/p"),
    ("protected-mode", "OFF", "no"), ("loops", "3", "3"), ("data", "/var/lib/x y", "/var/lib/x y"),
    ("durability", "Interval", "interval"), ("fsync-interval", "250", "250ms"), ("fsync-interval", "2s", "2s"),
    ("segment-bytes", "1MB", "1mb"), ("ops-buffer", "10k", "10000"), ("databases", "64", "64"),
    ("compaction", "no", "no"), ("compaction-rate", "10mb", "10mb"), ("garbage-ratio", "2", "2.0"),
    ("garbage-ratio", "0.25", "0.25"),
    ("scrub-interval", "0", "0s"), ("scrub-interval", "24h", "1d"),
    ("compression", "LZ4", "lz4"), ("compression", "zstd", "zstd"),
    ("master", "10.0.0.5", "10.0.0.5:7400"), ("master", "[::1]:1", "[::1]:1"), ("masterauth", "s", "s"),
    ("masterauth-file", "f", "f"), ("sync-mode", "partial", "partial"), ("accept-data-loss", "yes", "yes"),
    ("sync-rate", "50mb", "50mb"), ("max-slaves", "0", "0"), ("slave-lease", "90", "90s"), ("slave-lease", "24h", "1d"),
    ("slave-pin-max", "0", "0"), ("wal-keep", "2MB", "2mb"), ("max-clients", "5", "5"),
    ("commit", "FULLSYNC:2", "fullsync:2"), ("commit", "quorum", "quorum"), ("sync-timeout", "2s", "2s"),
    ("on-sync-timeout", "availability", "availability"), ("unsynced-records", "10", "10"),
    ("unsynced-bytes", "1mb", "1mb"), ("min-slaves", "1", "1"), ("min-slaves-max-lag", "500", "500ms"),
    ("voter", "no", "no"), ("forward-writes", "yes", "yes"), ("read-lease", "no", "no"),
    ("query-buffer-max", "1048576b", "1mb"), ("output-buffer-max", "64kb", "64kb"), ("key-bytes-max", "512", "512"),
    ("value-bytes-max", "512mb", "512mb"),
    ("slowlog-log-slower-than", "-1", "-1"), ("slowlog-max-len", "0", "0"), ("loglevel", "verbose", "info"),
    ("loglevel", "debug", "debug"), ("log-format", "json", "json"),
    ("peers", "10.0.0.5,[::1]:7401,db1:1", "10.0.0.5:7400,[::1]:7401,db1:1"), ("new-data-set", "yes", "yes"),
    ("forget-terms-above", "4000000000", "4000000000"), ("replaced-keep", "0", "0s"), ("replaced-keep", "7d", "7d"),
    ("replaced-keep", "90", "90s"), ("shutdown-timeout", "0", "0s"), ("shutdown-timeout", "90", "90s"),
    ("voters-max", "64", "64"), ("log-buffer-max", "1MB", "1mb"), ("unauthenticated-bytes", "64kb", "64kb"),
    ("enable-debug-command", "local", "local"), ("latency-tracking", "no", "no"),
    ("latency-tracking-info-percentiles", "0.0 50 99.99 100", "0 50 99.99 100"),
    ("latency-tracking-info-percentiles", "", ""), ("auth-timeout", "0", "0s"), ("auth-timeout", "2m", "2m"),
  ]

  @Test func everySettingTakesAValueAndGivesItBack() throws {
    #expect(Set(Self.examples.map(\.name)) == Set(Setting.all.map(\.name)))
    for (name, text, readsBack) in Self.examples {
      let setting = try #require(Setting.named(name))
      var configuration = ServerConfiguration()
      try setting.write(text, to: &configuration, from: .flag)
      #expect(setting.read(configuration) == readsBack, "\(name)")
      var again = ServerConfiguration()
      try setting.write(setting.read(configuration), to: &again, from: .flag)
      for other in Setting.all { #expect(other.read(again) == other.read(configuration), "\(name) and \(other.name)") }
    }
  }

  @Test(arguments: [
    ("bind", "a b"), ("bind", ""), ("bind", "127.0.0.1,::1"), ("port", "0"), ("port", "65536"), ("port", "+1"),
    ("port", "x"),
    ("port", ""), ("loops", "-1"), ("durability", "sometimes"), ("compression", "gzip"), ("compression", "yes"),
    ("fsync-interval", "0"), ("fsync-interval", "2h"),
    ("fsync-interval", "soon"), ("segment-bytes", "1"), ("segment-bytes", "4097"), ("segment-bytes", "65mb"),
    ("sync-rate", "fast"), ("sync-rate", "-1"), ("sync-rate", "99999999999gb"), ("sync-rate", "1.5mb"),
    ("sync-rate", "mb"),
    ("slave-lease", "1500ms"), ("slave-lease", "1w"), ("master", ":7400"), ("master", "h:0"), ("master", "a:b:c"),
    ("master", "[::1"), ("announce", "h:"), ("protected-mode", "maybe"), ("sync-mode", "guess"), ("loglevel", "loud"),
    ("commit", "fullsync"), ("commit", "fullsync:0"), ("commit", "most"), ("unsynced-bytes", "1"),
    ("databases", "0"), ("garbage-ratio", "0"), ("garbage-ratio", "nan"), ("garbage-ratio", "x"),
    ("query-buffer-max", "5gb"), ("output-buffer-max", "1kb"), ("data", ""), ("data", "a\0b"),
    ("peers", "a:b:c"), ("peers", "h:0"), ("peers", "a,,b"), ("forget-terms-above", "4000000001"),
    ("replaced-keep", "1w"), ("shutdown-timeout", "2d"), ("shutdown-timeout", "1500ms"), ("voters-max", "0"),
    ("voters-max", "65"),
    ("log-buffer-max", "1023kb"), ("unauthenticated-bytes", "1kb"), ("auth-timeout", "-1"), ("auth-timeout", "2d"),
    ("latency-tracking-info-percentiles", "101"), ("latency-tracking-info-percentiles", "x"), ("latency-tracking", "x"),
  ])
  func aBadValueIsRefusedByNameAndChangesNothing(name: String, text: String) throws {
    let setting = try #require(Setting.named(name))
    var configuration = ServerConfiguration()
    let error = #expect(throws: SettingError.self) { try setting.write(text, to: &configuration, from: .flag) }
    #expect(error?.description.contains("--\(name): must be ") == true)
    for other in Setting.all { #expect(other.read(configuration) == other.defaultText) }
  }

  @Test func controlCharactersOfAValueDoNotReachTheTerminal() throws {
    var configuration = ServerConfiguration()
    let error = #expect(throws: SettingError.self) {
      try Setting.named("port")?.write("\u{1B}[2J", to: &configuration, from: .environment)
    }
    #expect(
      error?.description == "environment variable PACELINE_PORT: must be a whole number from 1 to 65535, not '?[2J'")
  }

  @Test func passwordsDoNotShow() throws {
    var configuration = ServerConfiguration()
    configuration.password = "sesame"
    configuration.masterPassword = "sesame"
    var dumped = ""
    dump(configuration, to: &dumped)
    #expect(!"\(configuration) \(String(reflecting: configuration)) \(dumped)".contains("sesame"))
    let long = String(repeating: "sesame", count: 1000)
    let error = #expect(throws: SettingError.self) {
      try Setting.named("requirepass")?.write(long, to: &configuration, from: .environment)
    }
    #expect(error?.description.contains("sesame") == false)
  }
}

@Suite struct SettingTextTests {
  @Test func bytesHaveRedisUnits() throws {
    let all: ClosedRange<UInt64> = 0...UInt64.max
    let expected: [String: UInt64] = [
      "0": 0, "12": 12, "12b": 12, "3k": 3000, "3kb": 3072, "3KB": 3072, "2m": 2_000_000, "2mb": 2 << 20,
      "1g": 1_000_000_000,
      "1gb": 1 << 30,
    ]
    for (text, value) in expected { #expect(try SettingText.bytes(text, all) == value) }
    for value: UInt64 in [0, 1, 1023, 1024, 1025, 10 << 20, 3 << 30, 1 << 50] {
      #expect(try SettingText.bytes(SettingText.byteText(value), all) == value)
    }
  }

  @Test func timesHaveUnitsAndADefaultOne() throws {
    let all: ClosedRange<UInt64> = 0...UInt64.max
    #expect(try SettingText.milliseconds("5", unit: .second, all) == 5000)
    #expect(try SettingText.milliseconds("5", unit: .millisecond, all) == 5)
    #expect(try SettingText.milliseconds("2m", unit: .millisecond, all) == 120_000)
    for value: UInt64 in [0, 1, 999, 1000, 90_000, 3_600_000, 86_400_000, 86_400_001] {
      #expect(try SettingText.milliseconds(SettingText.timeText(value), unit: .millisecond, all) == value)
    }
  }
}
