/// What a command does to a key, in Redis's words.
package struct KeyFlags: OptionSet, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let ro = KeyFlags(rawValue: 1 << 0)
  package static let rw = KeyFlags(rawValue: 1 << 1)
  package static let ow = KeyFlags(rawValue: 1 << 2)
  package static let rm = KeyFlags(rawValue: 1 << 3)
  package static let access = KeyFlags(rawValue: 1 << 4)
  package static let update = KeyFlags(rawValue: 1 << 5)
  package static let insert = KeyFlags(rawValue: 1 << 6)
  package static let delete = KeyFlags(rawValue: 1 << 7)

  static let names: [StaticString] = ["RO", "RW", "OW", "RM", "access", "update", "insert", "delete"]
}

/// Where a command's keys are and what it does to them: one of Redis's key specifications.
package struct KeySpecification: Sendable {
  /// Index of the first key; the command's name is 0.
  package let first: Int
  /// Last key: counted from `first` where 0 or more, from the end (-1 = last argument) where negative.
  package let last: Int
  /// Arguments from one key to the next.
  package let step: Int
  package let flags: KeyFlags
  /// The true flags depend on the arguments (`SET` with `GET`).
  package let isVariable: Bool
  package let note: String

  package enum Flag {
    case ro, rw, ow, rm, access, update, insert, delete, variable
  }

  package static func key(_ first: Int, _ flags: [Flag], note: String = "") -> KeySpecification {
    keys(first, last: 0, step: 1, flags, note: note)
  }

  package static func keys(_ first: Int, last: Int, step: Int, _ flags: [Flag], note: String = "") -> KeySpecification {
    var set: KeyFlags = []
    var isVariable = false
    for flag in flags {
      switch flag {
      case .ro: set.insert(.ro)
      case .rw: set.insert(.rw)
      case .ow: set.insert(.ow)
      case .rm: set.insert(.rm)
      case .access: set.insert(.access)
      case .update: set.insert(.update)
      case .insert: set.insert(.insert)
      case .delete: set.insert(.delete)
      case .variable: isVariable = true
      }
    }
    return KeySpecification(first: first, last: last, step: step, flags: set, isVariable: isVariable, note: note)
  }
}
