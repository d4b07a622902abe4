// Raw memory: a table of names, built once and never freed, that the data path probes without a lock or a lazy global.

/// Finds a command by its name and tells its arity and flags, in a few nanoseconds and without allocation.
///
/// Hold a copy (`CommandLookup.shared`) where commands are executed: two pointers, so that no lazy global is asked per
/// command.
public struct CommandLookup: @unchecked Sendable {
  // Safe to share: the memory is constant after `init` and lives as long as the process.
  /// One place of the open-addressed table. A name of 1 to 16 bytes in upper case; `length` 0 = empty.
  @usableFromInline struct Slot {
    /// The first eight bytes; of a shorter name see `CommandLookup.pack`.
    @usableFromInline var low: UInt64 = 0
    /// The last eight bytes; 0 for a name of less than eight.
    @usableFromInline var high: UInt64 = 0
    @usableFromInline var length: UInt8 = 0
    @usableFromInline var command = Command.get
  }

  /// What is asked per request, by `Command.rawValue`.
  @usableFromInline struct Rule {
    @usableFromInline var flags: CommandFlags
    /// Exact number of arguments, or the least negated.
    @usableFromInline var arity: Int32
  }

  @usableFromInline let slots: UnsafePointer<Slot>
  @usableFromInline let rules: UnsafePointer<Rule>

  private static let slotCountLog2 = 9
  private static var slotCount: Int { 1 << slotCountLog2 }
  private static let packedBytesMax = 16

  public static let shared = CommandLookup()

  private init() {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: Self.slotCount)
    slots.initialize(repeating: Slot(), count: Self.slotCount)
    let rules = UnsafeMutablePointer<Rule>.allocate(capacity: CommandTable.all.count)
    for info in CommandTable.all {
      (rules + Int(info.command.rawValue)).initialize(to: Rule(flags: info.flags, arity: Int32(info.arity)))
      var name = info.name
      guard name.utf8.count <= Self.packedBytesMax else { continue }
      name.withUTF8 { utf8 in
        let key = Self.pack(UnsafeRawBufferPointer(utf8))
        var i = Self.home(key.low, key.high)
        while slots[i].length != 0 { i = (i + 1) & (Self.slotCount - 1) }
        slots[i] = Slot(low: key.low, high: key.high, length: UInt8(utf8.count), command: info.command)
      }
    }
    self.slots = UnsafePointer(slots)
    self.rules = UnsafePointer(rules)
  }

  /// The command of this name, in any mixture of cases; nil if there is none. The bytes may be anything.
  public func find(_ name: UnsafeRawBufferPointer) -> Command? {
    if _slowPath(name.count > Self.packedBytesMax || name.count == 0) { return findLong(name) }
    let key = Self.pack(name)
    var i = Self.home(key.low, key.high)
    // Ends: most of the table is empty.
    while true {
      let slot = slots + i
      if slot.pointee.low == key.low, slot.pointee.high == key.high, Int(slot.pointee.length) == name.count {
        return slot.pointee.command
      }
      if slot.pointee.length == 0 { return nil }
      i = (i &+ 1) & (Self.slotCount &- 1)
    }
  }

  @inlinable @inline(__always)
  public func flags(_ command: Command) -> CommandFlags { rules[Int(command.rawValue)].flags }

  /// Exact number of arguments, name included; negative: at least so many.
  @inlinable @inline(__always)
  public func arity(_ command: Command) -> Int { Int(rules[Int(command.rawValue)].arity) }

  /// True if the command may have this number of arguments, its name included.
  @inlinable @inline(__always)
  public func accepts(_ command: Command, argumentCount: Int) -> Bool {
    let arity = arity(command)
    return arity >= 0 ? argumentCount == arity : argumentCount >= 0 &- arity
  }

  /// Names that do not fit two words: compared one by one.
  @inline(never)
  private func findLong(_ name: UnsafeRawBufferPointer) -> Command? {
    if equalsIgnoringCase(name, "ms_register_slave") { return .msRegisterSlave }
    if equalsIgnoringCase(name, "ms_digest_partitions") { return .msDigestPartitions }
    return equalsIgnoringCase(name, "ms_partition_records") ? .msPartitionRecords : nil
  }

  /// 1 to 16 bytes as two words, letters in upper case. Together with the length they determine the bytes.
  @inline(__always)
  private static func pack(_ name: UnsafeRawBufferPointer) -> (low: UInt64, high: UInt64) {
    guard let start = name.baseAddress else { return (0, 0) }
    let count = name.count
    if count >= 8 { return (uppercased(start.word64(0)), uppercased(start.word64(count &- 8))) }
    if count >= 4 {
      return (uppercased(UInt64(start.word32(0)) | UInt64(start.word32(count &- 4)) &<< 32), 0)
    }
    // One to three bytes: the first, the middle and the last are all of them.
    let first = UInt64(start.byte(0))
    let middle = UInt64(start.byte(count &>> 1))
    let last = UInt64(start.byte(count &- 1))
    return (uppercased(first | middle &<< 8 | last &<< 16), 0)
  }

  /// Eight bytes at once: those that are ASCII lower-case letters to upper case.
  @inline(__always)
  private static func uppercased(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let low = word & (ones &* 0x7F)
    // The top bit of each byte says: at least 'a'; more than 'z'; not ASCII.
    let fromA = low &+ ones &* (0x80 - 0x61)
    let aboveZ = low &+ ones &* (0x7F - 0x7A)
    let isLower = (fromA ^ aboveZ) & ~word & (ones &* 0x80)
    return word ^ (isLower &>> 2)
  }

  @inline(__always)
  private static func home(_ low: UInt64, _ high: UInt64) -> Int {
    let mixed = (low ^ (high &* 0x9E37_79B9_7F4A_7C15)) &* 0xD6E8_FEB8_6659_FD93
    return Int(truncatingIfNeeded: mixed &>> UInt64(64 - slotCountLog2))
  }
}
