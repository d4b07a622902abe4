// Raw memory: looks at the words of a command where they lie.
import RESP

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
  /// Index of the first key; the command's name is 0. Of keys behind a keyword: where that is looked for.
  package let first: Int
  /// In upper case: the keys are behind this word, which is looked for backwards from the end if `first` is negative.
  package let keyword: String?
  /// There may be keys that it does not find.
  package let isIncomplete: Bool
  /// Last key: counted from `first` where 0 or more, from the end (-1 = last argument) where negative.
  package let last: Int
  /// Arguments from one key to the next.
  package let step: Int
  package let flags: KeyFlags
  /// Whether the true flags depend on the arguments, and how.
  package let variation: Variation
  package let note: String

  package enum Flag {
    case ro, rw, ow, rm, access, update, insert, delete
  }

  package enum Variation: Sendable {
    case none
    /// SET: reads its key only if it is asked for the old value.
    case set
    /// BITFIELD: only reads if it has nothing but GET.
    case bitField
  }

  /// All arguments behind a word.
  package static func behind(_ keyword: String, from first: Int, _ flags: [Flag]) -> KeySpecification {
    let keys = keys(first, last: -1, step: 1, flags)
    return KeySpecification(
      first: first, keyword: keyword, isIncomplete: true, last: -1, step: 1, flags: keys.flags, variation: .none,
      note: "")
  }

  package static func key(
    _ first: Int, _ flags: [Flag], isIncomplete: Bool = false, varies variation: Variation = .none, note: String = ""
  ) -> KeySpecification {
    keys(first, last: 0, step: 1, flags, isIncomplete: isIncomplete, varies: variation, note: note)
  }

  package static func keys(
    _ first: Int, last: Int, step: Int, _ flags: [Flag], isIncomplete: Bool = false,
    varies variation: Variation = .none,
    note: String = ""
  ) -> KeySpecification {
    var set: KeyFlags = []
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
      }
    }
    return KeySpecification(
      first: first, keyword: nil, isIncomplete: isIncomplete, last: last, step: step, flags: set, variation: variation,
      note: note)
  }
}

extension KeySpecification {
  /// Where the keys behind the keyword begin among the arguments of the command that begins at argument `first`; nil if it is
  /// not there.
  func firstBehindKeyword(_ arguments: borrowing ArgumentList, from first: Int) -> Int? {
    guard let keyword else { return nil }
    // Forwards also where Redis looks backwards: a key may have the word's name, the word comes first.
    for i in first..<arguments.count where equals(arguments[i], keyword) { return i + 1 }
    return nil
  }

  private func equals(_ word: UnsafeRawBufferPointer, _ keyword: String) -> Bool {
    let expected = keyword.utf8
    return word.count == expected.count && zip(word, expected).allSatisfy { lowercased($0) == lowercased($1) }
  }

  /// What the command that begins at argument `first` does to its keys.
  func flags(of arguments: borrowing ArgumentList, from first: Int) -> KeyFlags {
    switch variation {
    case .none: return flags
    case .set:
      for i in first + 3..<max(first + 3, arguments.count) where equalsIgnoringCase(arguments[i], "get") {
        return [.rw, .access, .update]
      }
      return [.ow, .update]
    case .bitField:
      var i = first + 2
      while i < arguments.count {
        let left = arguments.count - i - 1
        if left >= 2, equalsIgnoringCase(arguments[i], "get") {
          i += 3
        } else if left >= 1, equalsIgnoringCase(arguments[i], "overflow") {
          i += 2
        } else {
          return [.rw, .access, .update]
        }
      }
      return [.ro, .access]
    }
  }
}
