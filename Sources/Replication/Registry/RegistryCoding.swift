import Core

// The registry on disk, version 2. Little endian. Written beside the old file, synced, renamed (by the shell), so a
// crash leaves the old one or the new one.
//
//   offset  size  name
//   0       4     magic "PLRG"
//   4       4     crc32c of everything after it
//   8       1     version (2; 1 has no flags)
//   9       8     revision
//   17      4     count, then per slave:
//             20 id, 2+n host, 2 port, 1 capabilities, 8 durable LSN, 1 has pin, 8 pin's LSN, 8 lease left in ms,
//             1 flags (bit 0: voter)

/// A slave as it is kept over a restart of the master.
package struct RegistryRecord: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var capabilities: Capabilities
  package var isVoter = false
  package var durableLSN: LSN
  package var pin: Pin?
  package var leaseMillisecondsLeft: UInt64
}

package enum RegistryFileError: Error, Hashable, Sendable, CustomStringConvertible {
  case notARegistry
  case checksum(found: UInt32, expected: UInt32)
  case damaged(String)
  package var description: String {
    switch self {
    case .notARegistry: "not a slave registry"
    case .checksum(let found, let expected): "a slave registry with crc32c \(found), \(expected) expected"
    case .damaged(let what): "a damaged slave registry: \(what)"
    }
  }
}

extension Registry {
  private static let magic: UInt32 = 0x4752_4C50  // "PLRG"
  private static let version: UInt8 = 2
  private static let entryBytesMin = 50

  package func encoded(now: Tick) -> [UInt8] {
    var body = ByteWriter(capacity: 32 + slaves.count * 64)
    body.u8(Self.version)
    body.u64(revision)
    body.u32(UInt32(slaves.count))
    for slave in slaves {
      body.raw(slave.id.bytes)
      body.string(slave.address.host)
      body.u16(slave.address.port)
      body.u8(slave.capabilities.rawValue)
      body.u64(slave.ack.durableLSN.value)
      body.u8(slave.pin == nil ? 0 : 1)
      body.u64(slave.pin?.fromLSN.value ?? 0)
      body.u64(slave.pin?.leaseExpiry.map { $0.since(now) } ?? config.leaseMilliseconds)
      body.u8(slave.isVoter ? 1 : 0)
    }
    var out = ByteWriter(capacity: body.bytes.count + 8)
    out.u32(Self.magic)
    out.u32(CRC32C.checksum(body.bytes))
    out.raw(body.bytes)
    return out.bytes
  }

  package static func decode(_ bytes: [UInt8]) throws(RegistryFileError) -> [RegistryRecord] {
    do {
      return try read(bytes)
    } catch let error as RegistryFileError {
      throw error
    } catch {
      throw .damaged("\(error)")
    }
  }

  private static func read(_ bytes: [UInt8]) throws -> [RegistryRecord] {
    var reader = ByteReader(bytes)
    guard bytes.count >= 8, try reader.u32() == magic else { throw RegistryFileError.notARegistry }
    let expected = try reader.u32()
    let found = CRC32C.checksum(Array(bytes[8...]))
    guard found == expected else { throw RegistryFileError.checksum(found: found, expected: expected) }
    let fileVersion = try reader.u8()
    guard fileVersion == version || fileVersion == 1 else { throw RegistryFileError.damaged("version \(fileVersion)") }
    _ = try reader.u64()
    let count = try BodyCoding.count(&reader, entryBytes: entryBytesMin, max: SlaveList.slavesMax)
    var records: [RegistryRecord] = []
    for _ in 0..<count {
      let id = try BodyCoding.nodeID(&reader)
      let host = try reader.string()
      let port = try reader.u16()
      guard let address = NodeAddress(host: host, port: Int(port)) else {
        throw RegistryFileError.damaged("the address \(singleLine(host)):\(port)")
      }
      let capabilities = Capabilities(rawValue: try reader.u8())
      let durable = try BodyCoding.lsn(&reader)
      let hasPin = try reader.u8() == 1
      let from = try BodyCoding.lsn(&reader)
      let lease = try reader.u64()
      let flags = fileVersion == 1 ? 0 : try reader.u8()
      guard flags <= 1 else { throw RegistryFileError.damaged("slave \(id) with flags \(flags)") }
      records.append(
        RegistryRecord(
          id: id, address: address, capabilities: capabilities, isVoter: flags == 1, durableLSN: durable,
          pin: hasPin ? Pin(fromLSN: from) : nil, leaseMillisecondsLeft: lease))
    }
    guard reader.remaining == 0 else { throw RegistryFileError.damaged("\(reader.remaining) bytes too many") }
    return records
  }
}
