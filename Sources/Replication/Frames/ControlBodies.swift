import Core

// Bodies of the frames around a sync. Little endian; string = u16 length + UTF-8.
//
// slaveList  u8 version (2), u64 revision, u8 has master, [20 bytes id, string host, u16 port, u8 flags of the master], u32
//            count, then per slave: 20 bytes id, string host, u16 port, u8 state (1 registered, 2 syncing, 3 streaming,
//            4 disconnected), u8 flags (bit 0: voter), u64 durable LSN, u64 applied LSN.
//            Version 1 has neither the master nor flags, and is still read.
// digest     u8 version, u32 count, then per range: u32 database, u32 table, u64 sum, u64 live records.
//            The LSN at which the sums hold is the header's first LSN.
// needPlan   u8 version, u64 first LSN that the master still has as log, string code, string reason
// error      u8 version, string code, string message

/// The master and its slaves, as every slave is told at every change: when the master is gone, these are the nodes to ask.
/// `revision` rises by one at each change.
package struct SlaveList: Hashable, Sendable {
  static let slavesMax = 10_000
  static let version: UInt8 = 2
  static let entryBytesMin = 41

  package enum State: UInt8, Hashable, Sendable {
    case registered = 1
    case syncing = 2
    case streaming = 3
    case disconnected = 4
  }
  package struct Entry: Hashable, Sendable {
    package var id: NodeID
    package var address: NodeAddress
    package var state: State
    package var isVoter: Bool
    package var durableLSN: LSN
    package var appliedLSN: LSN
    package init(
      id: NodeID, address: NodeAddress, state: State, isVoter: Bool = false, durableLSN: LSN, appliedLSN: LSN
    ) {
      self.id = id
      self.address = address
      self.state = state
      self.isVoter = isVoter
      self.durableLSN = durableLSN
      self.appliedLSN = appliedLSN
    }
  }
  /// The node that sends the list.
  package struct Master: Hashable, Sendable {
    package var id: NodeID
    package var address: NodeAddress
    package var isVoter: Bool
    package init(id: NodeID, address: NodeAddress, isVoter: Bool = false) {
      self.id = id
      self.address = address
      self.isVoter = isVoter
    }
  }
  package var revision: UInt64
  /// nil from a node that does not say it.
  package var master: Master?
  /// Sorted by id.
  package var slaves: [Entry]
  package init(revision: UInt64, master: Master? = nil, slaves: [Entry]) {
    self.revision = revision
    self.master = master
    self.slaves = slaves
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 13 + slaves.count * 64)
    out.u8(Self.version)
    out.u64(revision)
    out.u8(master == nil ? 0 : 1)
    if let master {
      out.raw(master.id.bytes)
      out.string(master.address.host)
      out.u16(master.address.port)
      out.u8(master.isVoter ? 1 : 0)
    }
    out.u32(UInt32(slaves.count))
    for slave in slaves {
      out.raw(slave.id.bytes)
      out.string(slave.address.host)
      out.u16(slave.address.port)
      out.u8(slave.state.rawValue)
      out.u8(slave.isVoter ? 1 : 0)
      out.u64(slave.durableLSN.value)
      out.u64(slave.appliedLSN.value)
    }
    return out.bytes
  }

  package static func decode(_ body: [UInt8]) throws(FrameError) -> SlaveList {
    try BodyCoding.read(.slaveList, body) { reader in
      let found = try reader.u8()
      guard found == 1 || found == version else {
        throw FrameError(.badBody, "body version \(found), this node knows \(version)")
      }
      var list = SlaveList(revision: try reader.u64(), slaves: [])
      if found > 1, try flag(&reader) {
        let id = try BodyCoding.nodeID(&reader)
        let address = try address(of: id, &reader)
        list.master = Master(id: id, address: address, isVoter: try flag(&reader))
      }
      let count = try BodyCoding.count(&reader, entryBytes: entryBytesMin, max: slavesMax)
      for _ in 0..<count {
        let id = try BodyCoding.nodeID(&reader)
        let address = try address(of: id, &reader)
        guard let state = State(rawValue: try reader.u8()) else { throw FrameError(.badBody, "unknown slave state") }
        let isVoter = found > 1 ? try flag(&reader) : false
        list.slaves.append(
          Entry(
            id: id, address: address, state: state, isVoter: isVoter, durableLSN: try BodyCoding.lsn(&reader),
            appliedLSN: try BodyCoding.lsn(&reader)))
      }
      for (a, b) in zip(list.slaves, list.slaves.dropFirst()) where a.id >= b.id {
        throw FrameError(.badBody, "a slave list that is not sorted by id, or names \(b.id) twice")
      }
      return list
    }
  }

  private static func flag(_ reader: inout ByteReader) throws -> Bool {
    let value = try reader.u8()
    guard value <= 1 else { throw FrameError(.badBody, "a flag of \(value) in a slave list") }
    return value == 1
  }

  private static func address(of id: NodeID, _ reader: inout ByteReader) throws -> NodeAddress {
    let host = try reader.string()
    let port = try reader.u16()
    guard let address = NodeAddress(host: host, port: Int(port)) else {
      throw FrameError(.badBody, "node \(id) with the address \(singleLine(host)):\(port)")
    }
    return address
  }
}

/// Digests of all ranges at one LSN.
package struct Digest: Hashable, Sendable {
  static let rangesMax = 500_000
  static let entryBytes = 24

  /// Which records one sum covers.
  package struct RangeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var database: UInt32
    package var table: UInt32
    package init(database: UInt32, table: UInt32) {
      self.database = database
      self.table = table
    }
    package static func < (a: RangeID, b: RangeID) -> Bool { (a.database, a.table) < (b.database, b.table) }
    package var description: String { "database \(database) table \(table)" }
  }
  package struct Range: Hashable, Sendable {
    package var id: RangeID
    package var sum: UInt64
    package var liveRecords: UInt64
    package init(id: RangeID, sum: UInt64, liveRecords: UInt64) {
      self.id = id
      self.sum = sum
      self.liveRecords = liveRecords
    }
  }
  package var lsn: LSN
  /// Sorted by id.
  package var ranges: [Range]
  package init(lsn: LSN, ranges: [Range]) {
    self.lsn = lsn
    self.ranges = ranges.sorted { $0.id < $1.id }
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 5 + ranges.count * Self.entryBytes)
    out.u8(BodyCoding.version)
    out.u32(UInt32(ranges.count))
    for range in ranges {
      out.u32(range.id.database)
      out.u32(range.id.table)
      out.u64(range.sum)
      out.u64(range.liveRecords)
    }
    return out.bytes
  }

  package static func decode(_ body: [UInt8], at lsn: LSN) throws(FrameError) -> Digest {
    try BodyCoding.read(.digest, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let count = try BodyCoding.count(&reader, entryBytes: entryBytes, max: rangesMax)
      var ranges: [Range] = []
      for _ in 0..<count {
        let id = RangeID(database: try reader.u32(), table: try reader.u32())
        ranges.append(Range(id: id, sum: try reader.u64(), liveRecords: try reader.u64()))
      }
      for (a, b) in zip(ranges, ranges.dropFirst()) where a.id >= b.id {
        throw FrameError(.badBody, "a digest that is not sorted, or names \(b.id) twice")
      }
      return Digest(lsn: lsn, ranges: ranges)
    }
  }
}

/// The master cannot go on with this stream: the slave must send MS_SYNC_SLAVE again. Not an error of the slave.
package struct NeedPlan: Hashable, Sendable {
  package var logAvailableFrom: LSN
  package var code: String
  package var reason: String
  package init(logAvailableFrom: LSN, code: String, reason: String) {
    self.logAvailableFrom = logAvailableFrom
    self.code = code
    self.reason = reason
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter()
    out.u8(BodyCoding.version)
    out.u64(logAvailableFrom.value)
    out.string(singleLine(code, bytesMax: 64))
    out.string(singleLine(reason, bytesMax: 4096))
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> NeedPlan {
    try BodyCoding.read(.needPlan, body) { reader in
      try BodyCoding.checkVersion(&reader)
      return NeedPlan(
        logAvailableFrom: try BodyCoding.lsn(&reader), code: singleLine(try reader.string(), bytesMax: 64),
        reason: singleLine(try reader.string(), bytesMax: 4096))
    }
  }
}

/// Why the sender closes the stream. The code is one of `ReplicationError.Code`, or a newer node's that we do not know.
package struct ErrorBody: Hashable, Sendable {
  package var code: String
  package var message: String
  package init(code: String, message: String) {
    self.code = code
    self.message = message
  }
  package init(_ error: ReplicationError) {
    self.init(code: error.code.rawValue, message: singleLine(error.message, bytesMax: 4096))
  }
  package func encoded() -> [UInt8] {
    var out = ByteWriter()
    out.u8(BodyCoding.version)
    out.string(singleLine(code, bytesMax: 64))
    out.string(singleLine(message, bytesMax: 4096))
    return out.bytes
  }
  package static func decode(_ body: [UInt8]) throws(FrameError) -> ErrorBody {
    try BodyCoding.read(.error, body) { reader in
      try BodyCoding.checkVersion(&reader)
      return ErrorBody(
        code: singleLine(try reader.string(), bytesMax: 64), message: singleLine(try reader.string(), bytesMax: 4096))
    }
  }
}
