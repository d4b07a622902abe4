// Raw memory: hands views of names to the pattern matcher.
import Commands
import Core
import LogStore
import NIOCore
import RESP
import Synchronization

/// CONFIG: what the server was told, and what it may be told while it runs.
extension ServerCore {
  /// CONFIG RESETSTAT
  func resetStatistics(_ executor: Executor) -> Outcome {
    service.statistics.reset(totals)
    return onEveryLoop(executor, { $0.loop.executor.figures.reset() }) { $0.reply.ok() }
  }

  /// The configuration with the master that is followed now, and the data set's number of databases.
  private var presentConfiguration: ServerConfiguration {
    var settings = configuration
    settings.databases = store.databases
    if case .slave(let master) = role {
      settings.upstream = .init(host: master.host, port: Int(master.port))
    } else {
      settings.upstream = nil
    }
    return settings
  }

  /// CONFIG GET pattern [pattern ...]
  func configGet(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    let settings = presentConfiguration
    var found: [ConfigParameter] = []
    for parameter in ConfigParameter.all {
      var name = parameter.name
      let isWanted = name.withUTF8 { utf8 in
        var matches = false
        for i in 2..<arguments.count where !matches {
          matches = GlobPattern.matches(arguments[i], UnsafeRawBufferPointer(utf8), ignoringCase: true)
        }
        return matches
      }
      if isWanted { found.append(parameter) }
    }
    executor.reply.map(found.count)
    for parameter in found {
      executor.reply.bulk(parameter.name)
      executor.reply.bulk(parameter.read(settings))
    }
  }

  /// CONFIG SET name value [name value ...]: all of it or nothing.
  func configSet(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard arguments.count % 2 == 0 else { throw .syntax }
    var wanted: [(parameter: ConfigParameter, value: String)] = []
    for i in stride(from: 2, to: arguments.count, by: 2) {
      let name = decoded(arguments[i])
      guard let parameter = ConfigParameter.named(name.lowercased()) else {
        executor.reply.error("ERR Unknown option or number of arguments for CONFIG SET - '", quoting: arguments[i], "'")
        return .done
      }
      guard let value = String(validating: arguments[i + 1], as: UTF8.self), !value.utf8.contains(0) else {
        return refuse(parameter.name, "argument must be text in UTF-8", executor)
      }
      if wanted.contains(where: { $0.parameter.name == parameter.name }) {
        return refuse(parameter.name, "duplicate parameter", executor)
      }
      wanted.append((parameter, value))
    }
    let failure: (name: String, reason: String)? = settings.withLock { settings in
      var changed = settings.server
      for (parameter, value) in wanted {
        if let reason = parameter.write(value, to: &changed) { return (parameter.name, reason) }
        // The file's word no longer holds, and CONFIG REWRITE is to keep the new one.
        if parameter.name == "requirepass" { changed.passwordFile = nil }
        if parameter.name == "masterauth" { changed.masterPasswordFile = nil }
      }
      settings.server = changed
      return nil
    }
    if let failure { return refuse(failure.name, failure.reason, executor) }
    let settings = configuration
    configureSlowLog(settings)
    LogLevelSwitch.level = settings.logLevel
    store.compression = settings.store.compression
    replication.rateChanged(settings.syncRateBytes)
    node.reviewLease()
    logger.notice(
      "configuration changed",
      metadata: ["configuration.names": "\(wanted.map(\.parameter.name).joined(separator: " "))"])
    // What follows in the same packet goes by it as well: it is a batch of its own.
    executor.attention.insert(.turnIsOver)
    return onEveryLoop(executor, { [self] in apply(settings, to: $0) }) { $0.reply.ok() }
  }

  private func refuse(_ name: String, _ reason: String, _ executor: Executor) -> Outcome {
    executor.reply.error("ERR CONFIG SET failed (possibly related to argument '\(name)') - \(reason)")
    return .done
  }

  /// CONFIG REWRITE: off the event loop, and so that the file is the old or the new one at every moment.
  func configRewrite(_ executor: Executor) throws(CommandFailure) -> Outcome {
    guard !executor.inTransaction else { throw .text("ERR CONFIG REWRITE is not allowed in a transaction") }
    let settings = presentConfiguration
    guard let path = settings.configurationFile else { throw .text("ERR The server is running without a config file") }
    return inBackground(executor) { [self] in
      let old = (try? directory.fileSystem.readAll(path)) ?? []
      let rewritten = RewrittenConfiguration(String(decoding: old, as: UTF8.self), settings)
      let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
      do {
        try self.directory.fileSystem.replace(
          path, in: directory.isEmpty ? "/" : directory, with: Array(rewritten.text.utf8))
      } catch {
        logger.error("CONFIG REWRITE failed", metadata: ["error": "\(error)"])
        return { $0.reply.error("ERR Rewriting config file: \(error)") }
      }
      logger.notice("CONFIG REWRITE executed with success", metadata: ["configuration.file": "\(path)"])
      return { $0.reply.ok() }
    }
  }
}
