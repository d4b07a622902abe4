// Raw memory: a table of names, built once and never freed, that the data path probes without a lock or a lazy global.
import RESP

/// Finds a command by its name and tells its arity, flags and function, in a few nanoseconds and without allocation.
///
/// Executors hold a copy of their table's: a few pointers, so that no object is asked per command.
package struct CommandLookup: @unchecked Sendable {
  // Safe to share: the memory is constant after `init` and lives as long as the process.
  /// One place of the open-addressed table. A name of 1 to 16 bytes in upper case; `length` 0 = empty.
  @usableFromInline struct Slot {
    /// The first eight bytes; of a shorter name see `CommandLookup.pack`.
    @usableFromInline var low: UInt64 = 0
    /// The last eight bytes; 0 for a name of less than eight.
    @usableFromInline var high: UInt64 = 0
    @usableFromInline var length: UInt8 = 0
    @usableFromInline var command = Command(number: 0)
  }

  /// What is asked per request, by `Command.number`.
  @usableFromInline struct Rule {
    @usableFromInline let flags: CommandFlags
    /// Exact number of arguments, or the least negated.
    @usableFromInline let arity: Int32
    /// `.container` for all that have subcommands.
    @usableFromInline let function: CommandFunction
  }

  /// A name that does not fit two words, in lower case.
  private struct LongName {
    let bytes: UnsafeRawBufferPointer
    let command: Command
  }

  private let slots: UnsafePointer<Slot>
  private let slotCountLog2: UInt64
  private let longNames: UnsafeBufferPointer<LongName>
  @usableFromInline let rules: UnsafePointer<Rule>

  private var slotMask: Int { (1 &<< Int(truncatingIfNeeded: slotCountLog2)) &- 1 }
  private static let packedBytesMax = 16

  /// - Parameter rows: by `Command.number`.
  init(_ rows: [CommandRow]) {
    // At least three of four places are empty.
    slotCountLog2 = UInt64(UInt64.bitWidth - UInt64(rows.count * 4).leadingZeroBitCount)
    let slotCount = 1 << Int(slotCountLog2)
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: slotCount)
    slots.initialize(repeating: Slot(), count: slotCount)
    let rules = UnsafeMutablePointer<Rule>.allocate(capacity: rows.count)
    let long = UnsafeMutableBufferPointer<LongName>.allocate(
      capacity: rows.count { $0.name.utf8.count > Self.packedBytesMax })
    self.slots = UnsafePointer(slots)
    self.rules = UnsafePointer(rules)
    longNames = UnsafeBufferPointer(long)
    var longCount = 0
    for row in rows {
      (rules + Int(row.command.number)).initialize(
        to: Rule(
          flags: row.flags, arity: Int32(row.arity), function: row.subcommands.isEmpty ? row.function : .container))
      var name = row.name
      name.withUTF8 { utf8 in
        guard utf8.count <= Self.packedBytesMax else {
          let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: utf8.count, alignment: 1)
          copy.copyBytes(from: utf8)
          long.initializeElement(at: longCount, to: LongName(bytes: UnsafeRawBufferPointer(copy), command: row.command))
          longCount += 1
          return
        }
        let key = Self.pack(UnsafeRawBufferPointer(utf8))
        var i = home(key.low, key.high)
        while slots[i].length != 0 { i = (i + 1) & slotMask }
        slots[i] = Slot(low: key.low, high: key.high, length: UInt8(utf8.count), command: row.command)
      }
    }
  }

  /// The command of this name, in any mixture of cases; nil if there is none. The bytes may be anything.
  package func find(_ name: UnsafeRawBufferPointer) -> Command? {
    if _slowPath(name.count > Self.packedBytesMax || name.count == 0) { return findLong(name) }
    let key = Self.pack(name)
    var i = home(key.low, key.high)
    // Ends: most of the table is empty.
    while true {
      let slot = slots + i
      if slot.pointee.low == key.low, slot.pointee.high == key.high, Int(slot.pointee.length) == name.count {
        return slot.pointee.command
      }
      if slot.pointee.length == 0 { return nil }
      i = (i &+ 1) & slotMask
    }
  }

  @inlinable @inline(__always)
  package func flags(_ command: Command) -> CommandFlags { rules[Int(command.number)].flags }

  @inlinable @inline(__always)
  package func function(_ command: Command) -> CommandFunction { rules[Int(command.number)].function }

  /// Exact number of arguments, name included; negative: at least so many.
  @inlinable @inline(__always)
  package func arity(_ command: Command) -> Int { Int(rules[Int(command.number)].arity) }

  /// True if the command may have this number of arguments, its name included.
  @inlinable @inline(__always)
  package func accepts(_ command: Command, argumentCount: Int) -> Bool {
    let arity = arity(command)
    return arity >= 0 ? argumentCount == arity : argumentCount >= 0 &- arity
  }

  /// Names that do not fit two words: compared one by one.
  @inline(never)
  private func findLong(_ name: UnsafeRawBufferPointer) -> Command? {
    longNames.first { long in
      long.bytes.count == name.count && zip(name, long.bytes).allSatisfy { lowercased($0) == $1 }
    }?.command
  }

  /// 1 to 16 bytes as two words, letters in upper case. Together with the length they determine the bytes.
  @inline(__always)
  private static func pack(_ name: UnsafeRawBufferPointer) -> (low: UInt64, high: UInt64) {
    guard let start = name.baseAddress else { return (0, 0) }
    let count = name.count
    if count >= 8 {
      return (
        uppercased(start.loadUnaligned(as: UInt64.self)),
        uppercased(start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
      )
    }
    if count >= 4 {
      return (
        uppercased(
          UInt64(start.loadUnaligned(as: UInt32.self)) | UInt64(
            start.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)) &<< 32), 0
      )
    }
    // One to three bytes: the first, the middle and the last are all of them.
    let first = UInt64(start.load(fromByteOffset: 0, as: UInt8.self))
    let middle = UInt64(start.load(fromByteOffset: count &>> 1, as: UInt8.self))
    let last = UInt64(start.load(fromByteOffset: count &- 1, as: UInt8.self))
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
  private func home(_ low: UInt64, _ high: UInt64) -> Int {
    let mixed = (low ^ (high &* 0x9E37_79B9_7F4A_7C15)) &* 0xD6E8_FEB8_6659_FD93
    return Int(truncatingIfNeeded: mixed &>> (64 &- slotCountLog2))
  }
}
