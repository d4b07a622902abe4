// Raw memory: values are changed on the way from the old record to the new one.
import LogStore
import RESP

/// BITFIELD and BITFIELD_RO: integers of any width inside string values.
enum BitFieldCommands {
  /// BITFIELD key [GET type offset | SET type offset value | INCRBY type offset increment | OVERFLOW WRAP | SAT | FAIL] ...
  static func change(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let need = try look(arguments, executor)
    guard let bytes = need.bytes else { return try get(arguments, need.answers, executor, session) }
    let keys = executor.keys
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    let oldBytes = old?.valueBytes ?? 0
    let newBytes = max(oldBytes, bytes)
    // Not a record before `endPut`: where nothing changes, nothing is written.
    let place = try keys.beginPut(key: key, valueBytes: newBytes, expiry: old?.expiry ?? 0, in: session.database)
    if let old { copy(old.value, to: place) }
    fillWithZeros(place + oldBytes, newBytes - oldBytes)
    let value = UnsafeRawBufferPointer(start: place, count: newBytes)
    var changes = newBytes > oldBytes
    executor.reply.array(need.answers)
    var steps = Steps()
    while let step = try steps.next(arguments, keys) {
      switch step.action {
      case .get: executor.reply.integer(step.field.read(value, at: step.offset))
      case .set(let number):
        let before = step.field.read(value, at: step.offset)
        guard let after = step.field.sum(number, 0, steps.overflow) else {
          executor.reply.null()
          continue
        }
        executor.reply.integer(before)
        if after != before { changes = true }
        step.field.write(after, to: place, at: step.offset)
      case .increase(let by):
        let before = step.field.read(value, at: step.offset)
        guard let after = step.field.sum(before, by, steps.overflow) else {
          executor.reply.null()
          continue
        }
        executor.reply.integer(after)
        if after != before { changes = true }
        step.field.write(after, to: place, at: step.offset)
      }
    }
    if changes { keys.endPut(target) }
  }

  /// BITFIELD_RO key [GET type offset] ...
  static func read(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let need = try look(arguments, executor)
    guard need.bytes == nil else { throw .text("ERR BITFIELD_RO only supports the GET subcommand") }
    try get(arguments, need.answers, executor, session)
  }

  private static func get(
    _ arguments: borrowing ArgumentList, _ answers: Int, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let keys = executor.keys
    let record = keys.counted(try keys.read(arguments[1], in: session.database))
    let value = record?.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    executor.reply.array(answers)
    var steps = Steps()
    while let step = try steps.next(arguments, keys) { executor.reply.integer(step.field.read(value, at: step.offset)) }
  }

  /// Looks at all of the steps before the first is done: how many are answered, and how long a value they need to write to;
  /// nil if none writes.
  private static func look(
    _ arguments: borrowing ArgumentList, _ executor: Executor
  ) throws(CommandFailure) -> (answers: Int, bytes: Int?) {
    var answers = 0
    var bytes: Int?
    var steps = Steps()
    while let step = try steps.next(arguments, executor.keys) {
      answers += 1
      if case .get = step.action { continue }
      bytes = max(bytes ?? 0, (step.offset + step.field.bits - 1) >> 3 + 1)
    }
    return (answers, bytes)
  }

  /// One GET, SET or INCRBY among the arguments.
  private struct Step {
    let action: Action
    let field: BitField
    /// In bits.
    let offset: Int

    enum Action {
      case get
      case set(Int64)
      case increase(Int64)
    }
  }

  /// Reads the steps off the arguments, one after the other: twice for each command, and nothing is kept meanwhile.
  private struct Steps {
    private var at = 2
    /// Of the step read last.
    private(set) var overflow = BitField.Overflow.wrap

    mutating func next(_ arguments: borrowing ArgumentList, _ keys: KeyAccess) throws(CommandFailure) -> Step? {
      while at < arguments.count {
        let word = arguments[at]
        let left = arguments.count - at - 1
        if left >= 1, equalsIgnoringCase(word, "overflow") {
          overflow = try Self.overflow(arguments[at + 1])
          at += 2
          continue
        }
        let isGet = equalsIgnoringCase(word, "get")
        let isSet = equalsIgnoringCase(word, "set")
        guard isGet && left >= 2 || (isSet || equalsIgnoringCase(word, "incrby")) && left >= 3 else { throw .syntax }
        guard let field = BitField(arguments[at + 1]) else {
          throw .text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
        }
        // Redis's limit of 512 MiB holds for what is only read, also where values are not let grow so far.
        let bytesMax = isGet ? BitCommands.addressedBytesMax : keys.store.configuration.valueBytesMax
        let offset = try Self.offset(arguments[at + 2], field, bytesMax: bytesMax)
        let action: Step.Action
        if isGet {
          action = .get
        } else {
          let number = try integer(arguments[at + 3])
          action = isSet ? .set(number) : .increase(number)
        }
        at += isGet ? 3 : 4
        return Step(action: action, field: field, offset: offset)
      }
      return nil
    }

    private static func overflow(_ word: UnsafeRawBufferPointer) throws(CommandFailure) -> BitField.Overflow {
      if isWord(word, "WRAP") { return .wrap }
      if isWord(word, "SAT") { return .saturate }
      guard isWord(word, "FAIL") else { throw .text("ERR Invalid OVERFLOW type specified") }
      return .fail
    }

    /// A number of bits, or `#` and a number of fields.
    private static func offset(
      _ text: UnsafeRawBufferPointer, _ field: BitField, bytesMax: Int
    ) throws(CommandFailure) -> Int {
      let countsFields = text.first == UInt8(ascii: "#")
      let digits = countsFields ? UnsafeRawBufferPointer(rebasing: text.dropFirst()) : text
      if let number = parseInteger(digits) {
        let (bits, over) = number.multipliedReportingOverflow(by: countsFields ? Int64(field.bits) : 1)
        if !over, bits >= 0, bits >> 3 < Int64(bytesMax) { return Int(bits) }
      }
      throw .text("ERR bit offset is not an integer or out of range")
    }
  }
}
