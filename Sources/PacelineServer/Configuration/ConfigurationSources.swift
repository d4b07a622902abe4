/// Everything that was said about the settings, and how it becomes one configuration: flags win over the environment,
/// that over the file, that over the defaults. Pure; reading files is left to the caller.
package struct ConfigurationSources {
  package enum Role: String, Sendable { case master, slave }

  package var role: Role
  /// Names and values as given on the command line.
  package var flags: [(name: String, value: String)]
  /// All variables of the process; those that are not ours, and empty ones, count for nothing.
  package var environment: [String: String]
  package var file: ConfigurationFile?

  package init(
    role: Role, flags: [(name: String, value: String)] = [], environment: [String: String] = [:],
    file: ConfigurationFile? = nil
  ) {
    self.role = role
    self.flags = flags
    self.environment = environment
    self.file = file
  }

  package static let configurationFileVariable = "PACELINE_CONFIG"
  /// The password of the tools (`status`, `bench`), which is no setting of a server.
  package static let toolPasswordVariable = "PACELINE_PASSWORD"

  /// Variables that look like ours and are no setting: typing errors, most likely. Sorted.
  package var unknownVariables: [String] {
    let known = Set(Setting.all.map(\.environmentName) + [Self.configurationFileVariable, Self.toolPasswordVariable])
    return environment.keys.filter { $0.hasPrefix("PACELINE_") && !known.contains($0) }.sorted()
  }

  /// - Parameter readFile: gives a password file's bytes, or throws why not.
  /// - Throws: the first setting that cannot be used.
  package func resolve(
    readFile: (String) throws -> [UInt8]
  ) throws(SettingError) -> ServerConfiguration {
    var configuration = ServerConfiguration()
    configuration.configurationFile = file?.path
    /// Where the last word about a setting was given.
    var givenAt: [String: SettingSource] = [:]

    let fromFile = (file?.entries ?? []).map { entry in
      (name: entry.name, value: entry.value, source: SettingSource.file(path: file?.path ?? "", line: entry.line))
    }
    let fromEnvironment = Setting.all.compactMap { setting in
      environment[setting.environmentName].flatMap { value in
        value.isEmpty ? nil : (name: setting.name, value: value, source: SettingSource.environment)
      }
    }
    let fromFlags = flags.map { (name: $0.name, value: $0.value, source: SettingSource.flag) }

    for layer in [fromFile, fromEnvironment, fromFlags] {
      for (name, value, source) in layer {
        guard let setting = Setting.named(name) else {
          throw SettingError(source: source, name: name, reason: "is no setting")
        }
        try setting.write(value, to: &configuration, from: source)
        givenAt[name] = source
      }
      try readPassword("requirepass", \.password, \.passwordFile, layer, &configuration, readFile)
      try readPassword("masterauth", \.masterPassword, \.masterPasswordFile, layer, &configuration, readFile)
    }
    try check(configuration, givenAt)
    return configuration
  }

  private typealias Layer = [(name: String, value: String, source: SettingSource)]

  /// A password and its file are two ways to say one thing: within a layer only one may be used, a later layer's wins.
  private func readPassword(
    _ name: String, _ password: WritableKeyPath<ServerConfiguration, String?>,
    _ file: WritableKeyPath<ServerConfiguration, String?>, _ layer: Layer,
    _ configuration: inout ServerConfiguration, _ readFile: (String) throws -> [UInt8]
  ) throws(SettingError) {
    let isDirect = layer.contains { $0.name == name }
    guard let given = layer.last(where: { $0.name == name + "-file" }) else {
      if isDirect { configuration[keyPath: file] = nil }
      return
    }
    func wrong(_ reason: String) -> SettingError {
      SettingError(source: given.source, name: given.name, reason: reason)
    }
    guard !isDirect else { throw wrong("give it or '\(name)', not both") }
    configuration[keyPath: password] = nil
    guard let path = configuration[keyPath: file] else { return }
    let bytes: [UInt8]
    do {
      bytes = try readFile(path)
    } catch {
      throw wrong("\(error)")
    }
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard !line.isEmpty, line.count <= 4096, let text = String(validating: line, as: UTF8.self) else {
      throw wrong("\(path) must begin with a line of 1 to 4096 bytes of text, the password")
    }
    configuration[keyPath: password] = text
  }

  /// What no setting can see alone.
  private func check(
    _ configuration: ServerConfiguration, _ givenAt: [String: SettingSource]
  ) throws(SettingError) {
    switch (role, configuration.upstream) {
    case (.slave, nil):
      // The peers know the master.
      guard configuration.peers.isEmpty else { break }
      throw SettingError(source: nil, name: "master", reason: "a slave needs the HOST:PORT of its master")
    case (.master, _?):
      throw SettingError(
        source: givenAt["master"], name: "master",
        reason: "this would be a slave: start it with 'paceline slave', or remove the setting")
    case (.slave, let upstream?):
      if configuration.isOwnAddress(upstream) {
        throw SettingError(
          source: givenAt["master"], name: "master",
          reason: "\(upstream) is this server itself; name another node, or choose another --port")
      }
    case (.master, nil): break
    }
    if let reason = configuration.store.validate() { throw SettingError(source: nil, name: nil, reason: reason) }
  }
}

extension ServerConfiguration {
  /// Whether connecting there would surely reach this server: as far as names and numbers tell, without asking the
  /// network. The registration finds the rest.
  package func isOwnAddress(_ address: Upstream) -> Bool {
    if let announceHost, address == Upstream(host: announceHost, port: announcePort ?? port) { return true }
    guard address.port == port else { return false }
    let host = address.host.lowercased()
    if host == bind.lowercased() { return true }
    let loopback = ["localhost", "127.0.0.1", "::1"]
    return (loopback.contains(host) || host.hasPrefix("127.")) && ["0.0.0.0", "::"].contains(bind)
      || loopback.contains(host) && loopback.contains(bind.lowercased()) && (host == "localhost" || bind == "localhost")
  }
}
