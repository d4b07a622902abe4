import Testing

@testable import PacelineServer

private func file(_ text: String) throws(SettingError) -> ConfigurationFile {
  try ConfigurationFile(path: "p.conf", bytes: Array(text.utf8))
}

private struct NoSuchFile: Error, CustomStringConvertible { let description = "cannot read it" }

private func resolve(
  _ role: ConfigurationSources.Role = .master, flags: [(name: String, value: String)] = [],
  environment: [String: String] = [:], file text: String? = nil, files: [String: String] = [:]
) throws -> ServerConfiguration {
  try ConfigurationSources(role: role, flags: flags, environment: environment, file: try text.map { try file($0) })
    .resolve { path in
      guard let text = files[path] else { throw NoSuchFile() }
      return Array(text.utf8)
    }
}

@Suite struct ConfigurationFileTests {
  @Test func linesAreNamesAndValues() throws {
    let parsed = try file(
      """
      # comment
      port 7500
        MAX-slaves\t3   # behind it

      requirepass "a \\"b\\" # \\x41\\n"\r
      data '/x y/it\\'s \\n'
      sync-mode full
      """)
    #expect(parsed.entries.map(\.name) == ["port", "max-slaves", "requirepass", "data", "sync-mode"])
    #expect(parsed.entries.map(\.value) == ["7500", "3", "a \"b\" # A\n", "/x y/it's \\n", "full"])
    #expect(parsed.entries.map(\.line) == [2, 3, 5, 6, 7])
  }

  @Test(arguments: [
    ("# x\nnosuch 1", "p.conf, line 2: unknown setting 'nosuch'"),
    ("max-slave 1", "p.conf, line 1: unknown setting 'max-slave'; did you mean 'max-slaves'?"),
    ("\nport", "p.conf, line 2: port: has no value"),
    ("requirepass #x", "p.conf, line 1: requirepass: has no value"),
    ("port 1 2", "p.conf, line 1: port: takes one value; put one with spaces in quotes"),
    ("port 1\n\nport 2", "p.conf, line 3: port: is set twice, the first time in line 1"),
    ("data \"x", "p.conf, line 1: a quote is not closed, or something follows it"),
    ("data 'x'y", "p.conf, line 1: a quote is not closed, or something follows it"),
    ("data \"\\xZZ\"", "p.conf, line 1: a quote is not closed, or something follows it"),
    ("data a\0b", "p.conf, line 1: is not text in UTF-8"),
  ])
  func aBadLineIsNamed(text: String, message: String) {
    let error = #expect(throws: SettingError.self) { try file(text) }
    #expect(error?.description == message)
  }

  @Test func bytesThatAreNoTextAreNamed() {
    let error = #expect(throws: SettingError.self) {
      try ConfigurationFile(path: "p.conf", bytes: Array("port 1\n".utf8) + [0xFF])
    }
    #expect(error?.description == "p.conf, line 2: is not text in UTF-8")
    #expect(throws: SettingError.self) {
      try ConfigurationFile(path: "p.conf", bytes: [UInt8](repeating: 10, count: ConfigurationFile.bytesMax + 1))
    }
  }

  @Test(arguments: ["", "x", "a b", "#x", "it's", "say \"x\"", "back\\slash", "two\nlines\t", "ü 🚴"])
  func aValueIsWrittenSoThatItReadsBack(value: String) throws {
    let parsed = try file("requirepass \(ConfigurationFile.quotedIfNeeded(value))")
    #expect(parsed.entries.map(\.value) == [value])
  }
}

@Suite struct PrecedenceTests {
  @Test func flagsWinOverEnvironmentOverFileOverDefaults() throws {
    let text = "port 1\nmax-slaves 1\nsync-rate 1"
    let environment = ["PACELINE_PORT": "2", "PACELINE_MAX_SLAVES": "2", "PACELINE_WAL_KEEP": ""]
    let configuration = try resolve(flags: [("port", "3")], environment: environment, file: text)
    #expect(configuration.port == 3)
    #expect(configuration.slavesMax == 2)
    #expect(configuration.syncRateBytes == 1)
    #expect(configuration.walKeepBytes == ServerConfiguration().walKeepBytes)
    #expect(configuration.configurationFile == "p.conf")
  }

  @Test(arguments: Setting.all.map(\.name))
  func everySettingComesFromEverySource(name: String) throws {
    let setting = try #require(Setting.named(name))
    let example = try #require(SettingTests.examples.first { $0.name == name })
    let role: ConfigurationSources.Role = name == "master" ? .slave : .master
    let files = ["/p": "x", "f": "x"]
    let fromFlag = try resolve(role, flags: [(name, example.text)], files: files)
    let fromEnvironment = try resolve(role, environment: [setting.environmentName: example.text], files: files)
    let line = "\(name) \(ConfigurationFile.quotedIfNeeded(example.text))"
    let fromFile = try resolve(role, file: line, files: files)
    for configuration in [fromFlag, fromEnvironment, fromFile] {
      #expect(setting.read(configuration) == example.readsBack)
    }
  }

  @Test(
    arguments: [
      (["PACELINE_PORT": "x"], nil, "environment variable PACELINE_PORT: "),
      ([:], "\nport x", "p.conf, line 2: port: "),
    ] as [([String: String], String?, String)])
  func anErrorNamesTheSource(environment: [String: String], text: String?, beginning: String) {
    let error = #expect(throws: SettingError.self) { try resolve(environment: environment, file: text) }
    #expect(error?.description.hasPrefix(beginning) == true)
  }

  @Test func variablesThatAreNoSettingAreFound() {
    let environment = [
      "PACELINE_PORTT": "1", "PACELINE_CONFIG": "x", "PACELINE_PASSWORD": "x", "HOME": "/", "PACELINE_PORT": "1",
    ]
    #expect(ConfigurationSources(role: .master, environment: environment).unknownVariables == ["PACELINE_PORTT"])
  }
}

@Suite struct PasswordFileTests {
  let files = ["pw": "from file\r\nsecond line", "empty": "\nx"]

  @Test func theFirstLineIsThePassword() throws {
    let configuration = try resolve(flags: [("requirepass-file", "pw"), ("masterauth-file", "pw")], files: files)
    #expect(configuration.password == "from file" && configuration.masterPassword == "from file")
    #expect(configuration.passwordFile == "pw")
  }

  @Test func theHigherSourceWinsWhateverItsKind() throws {
    let lower = ["PACELINE_REQUIREPASS": "direct"]
    #expect(try resolve(flags: [("requirepass-file", "pw")], environment: lower, files: files).password == "from file")
    let flagWins = try resolve(flags: [("requirepass", "flag")], file: "requirepass-file pw", files: files)
    #expect(flagWins.password == "flag" && flagWins.passwordFile == nil)
  }

  @Test(arguments: ["missing", "empty"]) func anUnusableFileIsNamed(path: String) {
    let error = #expect(throws: SettingError.self) { try resolve(flags: [("requirepass-file", path)], files: files) }
    #expect(error?.description.hasPrefix("--requirepass-file: ") == true)
  }

  @Test func bothAtOnceAreRefused() {
    #expect(throws: SettingError.self) {
      try resolve(file: "requirepass x\nrequirepass-file pw", files: files)
    }
  }
}

@Suite struct RoleTests {
  @Test func aSlaveNeedsAMasterAndAMasterHasNone() throws {
    let error = #expect(throws: SettingError.self) { try resolve(.slave) }
    #expect(error?.description == "--master: a slave needs the HOST:PORT of its master")
    #expect(throws: SettingError.self) { try resolve(.master, environment: ["PACELINE_MASTER": "h:1"]) }
    #expect(try resolve(.master).upstream == nil)
    #expect(try resolve(.slave, flags: [("master", "h")]).upstream == .init(host: "h", port: 7400))
  }

  @Test(arguments: [
    ("127.0.0.1:7400", "127.0.0.1", "", true), ("localhost:7400", "127.0.0.1", "", true),
    ("127.0.0.1:7401", "127.0.0.1", "", false), ("127.0.0.2:7400", "127.0.0.1", "", false),
    ("10.0.0.1:7400", "0.0.0.0", "", false), ("[::1]:7400", "::", "", true), ("10.0.0.1:7400", "10.0.0.1", "", true),
    ("a:1", "127.0.0.1", "a:1", true), ("a:7400", "127.0.0.1", "a", true), ("a:7400", "127.0.0.1", "b", false),
  ])
  func aSlaveOfItselfIsRefused(master: String, bind: String, announce: String, isItself: Bool) throws {
    let flags = [(name: "master", value: master), (name: "bind", value: bind), (name: "announce", value: announce)]
    if isItself {
      let error = #expect(throws: SettingError.self) { try resolve(.slave, flags: flags) }
      #expect(error?.description.contains("is this server itself") == true)
    } else {
      #expect(try resolve(.slave, flags: flags).upstream != nil)
    }
  }
}
