/// A setting that cannot be used: where it was given, and what is wrong with it. Never carries a password.
package struct SettingError: Error, Equatable, CustomStringConvertible, Sendable {
  /// Where it was given; nil when the combination of several is at fault.
  package let source: SettingSource?
  /// The setting's name; nil if there is none of it.
  package let name: String?
  package let reason: String

  package init(source: SettingSource?, name: String?, reason: String) {
    self.source = source
    self.name = name
    self.reason = reason
  }

  package var description: String {
    switch (source, name) {
    case (.flag, let name?): "--\(name): \(reason)"
    case (.environment, let name?): "environment variable \(Setting.environmentName(name)): \(reason)"
    case (.file(let path, let line), let name?): "\(path), line \(line): \(name): \(reason)"
    case (.file(let path, let line), nil): "\(path), line \(line): \(reason)"
    case (nil, let name?): "--\(name): \(reason)"
    case (_, nil): reason
    }
  }
}

/// Where a setting was given. Later cases win over earlier ones; what is given nowhere has its default.
package enum SettingSource: Hashable, Sendable {
  /// The configuration file, with a line that counts from 1.
  case file(path: String, line: Int)
  case environment
  case flag
}
