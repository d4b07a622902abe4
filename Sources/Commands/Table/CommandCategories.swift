// Raw memory: compares names where they lie.
import RESP

/// The categories of commands that Redis's access control knows, in the order in which `COMMAND INFO` lists them.
package struct CommandCategories: OptionSet, Sendable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let keyspace = CommandCategories(rawValue: 1 << 0)
  package static let read = CommandCategories(rawValue: 1 << 1)
  package static let write = CommandCategories(rawValue: 1 << 2)
  package static let string = CommandCategories(rawValue: 1 << 3)
  package static let bitmap = CommandCategories(rawValue: 1 << 4)
  package static let pubsub = CommandCategories(rawValue: 1 << 5)
  package static let admin = CommandCategories(rawValue: 1 << 6)
  package static let fast = CommandCategories(rawValue: 1 << 7)
  package static let slow = CommandCategories(rawValue: 1 << 8)
  package static let blocking = CommandCategories(rawValue: 1 << 9)
  package static let dangerous = CommandCategories(rawValue: 1 << 10)
  package static let connection = CommandCategories(rawValue: 1 << 11)
  package static let transaction = CommandCategories(rawValue: 1 << 12)
  package static let scripting = CommandCategories(rawValue: 1 << 13)

  static let names: [StaticString] = [
    "@keyspace", "@read", "@write", "@string", "@bitmap", "@pubsub", "@admin", "@fast", "@slow", "@blocking",
    "@dangerous", "@connection", "@transaction", "@scripting",
  ]

  /// The category of this name (without `@`), in any mixture of cases; nil if there is none.
  package init?(named name: UnsafeRawBufferPointer) {
    let bit = Self.names.firstIndex { known in
      let word = UnsafeRawBufferPointer(start: known.utf8Start + 1, count: known.utf8CodeUnitCount - 1)
      return word.count == name.count && zip(word, name).allSatisfy { $0 == lowercased($1) }
    }
    guard let bit else { return nil }
    self.init(rawValue: 1 << UInt16(bit))
  }

  /// The categories that follow from a command's flags.
  init(impliedBy flags: CommandFlags) {
    self = flags.contains(.fast) ? .fast : .slow
    if flags.contains(.write) { insert(.write) }
    if flags.contains(.readonly) { insert(.read) }
    if flags.contains(.admin) { formUnion([.admin, .dangerous]) }
    if flags.contains(.blocking) { insert(.blocking) }
  }
}
