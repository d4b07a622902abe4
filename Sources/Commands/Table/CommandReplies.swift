import RESP

/// The replies of `COMMAND INFO` and `COMMAND DOCS`, in Redis 7.0's shape.
extension ReplyBuffer {
  /// `COMMAND INFO`'s ten elements: name, arity, flags, first key, last key, step, categories, tips, key
  /// specifications, subcommands.
  package mutating func commandInfo(_ row: CommandRow) {
    array(10)
    bulk(row.name)
    integer(Int64(row.arity))
    statuses(CommandFlags.names, row.flags.rawValue, and: row.hasMovableKeys ? "movablekeys" : nil)
    let range = row.keyRange
    integer(Int64(range.first))
    integer(Int64(range.last))
    integer(Int64(range.step))
    statuses(CommandCategories.names, UInt32(row.categories.rawValue))
    set(row.tips.rawValue.nonzeroBitCount)
    for (bit, name) in CommandTips.names.enumerated() where row.tips.rawValue & 1 << bit != 0 { bulk(name) }
    set(row.keys.count)
    for key in row.keys { keySpecification(key) }
    if row.subcommands.isEmpty { set(0) } else { array(row.subcommands.count) }
    for subcommand in row.subcommands { commandInfo(subcommand) }
  }

  /// One command's name and its map of `COMMAND DOCS`: summary, since, group, complexity, deprecation, subcommands.
  package mutating func commandDocs(_ row: CommandRow) {
    bulk(row.name)
    let mark = beginArray()
    var pairs = 3
    bulk("summary")
    bulk(row.summary)
    bulk("since")
    bulk(row.since)
    bulk("group")
    bulk(row.group.rawValue)
    if !row.complexity.isEmpty {
      bulk("complexity")
      bulk(row.complexity)
      pairs += 1
    }
    if row.isSystem || !row.deprecatedSince.isEmpty {
      bulk("doc_flags")
      set(1)
      simple(row.isSystem ? "syscmd" : "deprecated")
      pairs += 1
    }
    if !row.deprecatedSince.isEmpty {
      bulk("deprecated_since")
      bulk(row.deprecatedSince)
      bulk("replaced_by")
      bulk(row.replacedBy)
      pairs += 2
    }
    if !row.subcommands.isEmpty {
      bulk("subcommands")
      map(row.subcommands.count)
      for subcommand in row.subcommands { commandDocs(subcommand) }
      pairs += 1
    }
    endMap(mark, pairs: pairs)
  }

  /// The lines of `<COMMAND> HELP`, as Redis frames them: those of the container, then those of its subcommands.
  package mutating func help(_ container: CommandRow) {
    let texts = ([container] + container.subcommands).map(\.help).filter { !$0.isEmpty }
    help(container.name.uppercased(), texts.joined(separator: "\n"))
  }

  /// The same of lines that stand in no row.
  package mutating func help(_ name: String, _ lines: String) {
    let lines = lines.split(separator: "\n", omittingEmptySubsequences: false)
    array(lines.count + 3)
    simple("\(name) <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
    for line in lines { simple(String(line)) }
    simple("HELP" as StaticString)
    simple("    Prints this help." as StaticString)
  }

  /// A key's flags as a set of words (`COMMAND GETKEYSANDFLAGS`).
  package mutating func keyFlags(_ flags: KeyFlags, isVariable: Bool = false, isIncomplete: Bool = false) {
    set(flags.rawValue.nonzeroBitCount + (isVariable ? 1 : 0) + (isIncomplete ? 1 : 0))
    for (bit, name) in KeyFlags.names.enumerated() where flags.rawValue & 1 << bit != 0 { simple(name) }
    if isIncomplete { simple("incomplete") }
    if isVariable { simple("variable_flags") }
  }

  private mutating func keySpecification(_ key: KeySpecification) {
    map(key.note.isEmpty ? 3 : 4)
    if !key.note.isEmpty {
      bulk("notes")
      bulk(key.note)
    }
    bulk("flags")
    keyFlags(key.flags, isVariable: key.variation != .none, isIncomplete: key.isIncomplete)
    bulk("begin_search")
    map(2)
    bulk("type")
    if let keyword = key.keyword {
      bulk("keyword")
      bulk("spec")
      map(2)
      bulk("keyword")
      bulk(keyword)
      bulk("startfrom")
    } else {
      bulk("index")
      bulk("spec")
      map(1)
      bulk("index")
    }
    integer(Int64(key.first))
    bulk("find_keys")
    map(2)
    bulk("type")
    bulk("range")
    bulk("spec")
    map(3)
    bulk("lastkey")
    integer(Int64(key.last))
    bulk("keystep")
    integer(Int64(key.step))
    bulk("limit")
    integer(0)
  }

  private mutating func statuses(_ names: [StaticString], _ bits: UInt32, and more: StaticString? = nil) {
    // What has no word is not shown.
    let bits = bits & (1 << UInt32(names.count) - 1)
    set(bits.nonzeroBitCount + (more == nil ? 0 : 1))
    for (bit, name) in names.enumerated() where bits & 1 << UInt32(bit) != 0 { simple(name) }
    if let more { simple(more) }
  }
}
