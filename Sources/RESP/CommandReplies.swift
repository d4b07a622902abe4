/// The replies of `COMMAND INFO` and `COMMAND DOCS`, in Redis 7.0's shape.
extension ReplyBuffer {
  /// `COMMAND INFO`'s ten elements: name, arity, flags, first key, last key, step, categories, tips, key
  /// specifications, subcommands.
  public mutating func commandInfo(_ info: CommandInfo) {
    array(10)
    bulk(info.name)
    integer(Int64(info.arity))
    statuses(CommandFlags.names, info.flags.rawValue)
    let range = info.keyRange
    integer(Int64(range.first))
    integer(Int64(range.last))
    integer(Int64(range.step))
    statuses(CommandCategories.names, UInt32(info.categories.rawValue))
    set(info.tips.rawValue.nonzeroBitCount)
    for (bit, name) in CommandTips.names.enumerated() where info.tips.rawValue & 1 << bit != 0 { bulk(name) }
    set(info.keys.count)
    for key in info.keys { keySpecification(key) }
    if info.subcommands.isEmpty { set(0) } else { array(info.subcommands.count) }
    for subcommand in info.subcommands { commandInfo(subcommand) }
  }

  /// One command's name and its map of `COMMAND DOCS`: summary, since, group, complexity, deprecation, subcommands.
  public mutating func commandDocs(_ info: CommandInfo) {
    bulk(info.name)
    let mark = beginArray()
    var pairs = 3
    bulk("summary")
    bulk(info.summary)
    bulk("since")
    bulk(info.since)
    bulk("group")
    bulk(info.group.rawValue)
    if !info.complexity.isEmpty {
      bulk("complexity")
      bulk(info.complexity)
      pairs += 1
    }
    if info.isSystem || !info.deprecatedSince.isEmpty {
      bulk("doc_flags")
      set(1)
      simple(info.isSystem ? "syscmd" : "deprecated")
      pairs += 1
    }
    if !info.deprecatedSince.isEmpty {
      bulk("deprecated_since")
      bulk(info.deprecatedSince)
      bulk("replaced_by")
      bulk(info.replacedBy)
      pairs += 2
    }
    if !info.subcommands.isEmpty {
      bulk("subcommands")
      map(info.subcommands.count)
      for subcommand in info.subcommands { commandDocs(subcommand) }
      pairs += 1
    }
    endMap(mark, pairs: pairs)
  }

  /// A key's flags as a set of words (`COMMAND GETKEYSANDFLAGS`).
  public mutating func keyFlags(_ flags: KeyFlags, isVariable: Bool = false) {
    set(flags.rawValue.nonzeroBitCount + (isVariable ? 1 : 0))
    for (bit, name) in KeyFlags.names.enumerated() where flags.rawValue & 1 << bit != 0 { simple(name) }
    if isVariable { simple("variable_flags") }
  }

  private mutating func keySpecification(_ key: KeySpecification) {
    map(key.note.isEmpty ? 3 : 4)
    if !key.note.isEmpty {
      bulk("notes")
      bulk(key.note)
    }
    bulk("flags")
    keyFlags(key.flags, isVariable: key.isVariable)
    bulk("begin_search")
    map(2)
    bulk("type")
    bulk("index")
    bulk("spec")
    map(1)
    bulk("index")
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

  private mutating func statuses(_ names: [StaticString], _ bits: UInt32) {
    // What has no word is not shown.
    let bits = bits & (1 << UInt32(names.count) - 1)
    set(bits.nonzeroBitCount)
    for (bit, name) in names.enumerated() where bits & 1 << UInt32(bit) != 0 { simple(name) }
  }
}
