import ArgumentParser
import Logging
import PacelineServer
import ServiceLifecycle

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What `master` and `slave` do: gather the settings, show the banner, serve until told to end, and say in one line why
/// it did not work.
struct ServeCommand {
  let role: ConfigurationSources.Role
  let flags: [(name: String, value: String)]
  let configurationPath: String?

  func run() async throws {
    let environment = ProcessInfo.processInfo.environment
    let sources: ConfigurationSources
    let configuration: ServerConfiguration
    do throws(SettingError) {
      sources = try gather(environment)
      configuration = try sources.resolve { try SmallFile.read($0, bytesMax: 64 << 10) }
    } catch {
      fail("Error: \(error)\nSee 'paceline \(role.rawValue) --help'.", code: 2)
    }

    ProcessEnd.ignoreBrokenPipes()
    LogLevelSwitch.level = configuration.logLevel
    let format = configuration.logFormat
    LoggingSystem.bootstrap { label in LineLogHandler(label: label, format: format) }
    let logger = Logger(label: "paceline.server")
    let banner = Banner(role: role, configuration: configuration)
    switch format {
    case .text: Terminal.write(banner.text)
    case .json: logger.notice("starting", metadata: banner.metadata)
    }
    for name in sources.unknownVariables {
      logger.warning("environment variable is no setting", metadata: ["variable.name": "\(name)"])
    }

    let orders = ShutdownOrders()
    let signals = ProcessEnd.onSignals { isInterrupt in
      // As in Redis: a second Ctrl-C means at once, a second SIGTERM nothing new.
      if !orders.ask(), isInterrupt || !orders.isServing { ProcessEnd.atOnce() }
    }
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(
            service: Server(configuration: configuration, orders: orders, logger: logger),
            successTerminationBehavior: .gracefullyShutdownGroup)
        ],
        // What the group has to say about services means nothing to those who run one.
        logger: Logger(label: "paceline.lifecycle") { _ in SwiftLogNoOpLogHandler() }))
    do {
      try await group.run()
    } catch {
      fail("paceline \(role.rawValue): \(StartFailure.reason(error, configuration))", code: 1)
    }
    withExtendedLifetime(signals) {}
    logger.notice("ended")
  }

  private func gather(_ environment: [String: String]) throws(SettingError) -> ConfigurationSources {
    let variable = ConfigurationSources.configurationFileVariable
    let named = environment[variable].flatMap { $0.isEmpty ? nil : $0 }
    var file: ConfigurationFile?
    if let path = configurationPath ?? named {
      let bytes: [UInt8]
      do throws(SmallFile.Unreadable) {
        bytes = try SmallFile.read(path, bytesMax: ConfigurationFile.bytesMax)
      } catch {
        throw SettingError(source: configurationPath == nil ? .environment : .flag, name: "config", reason: "\(error)")
      }
      file = try ConfigurationFile(path: absolutePath(path), bytes: bytes)
    }
    return ConfigurationSources(role: role, flags: flags, environment: environment, file: file)
  }

  private func fail(_ message: String, code: Int32) -> Never {
    Terminal.writeError(message + "\n")
    ProcessEnd.now(code)
  }
}
