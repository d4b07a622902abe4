import Core

/// Why master and slave could not go on together. The code is the first word of a RESP error and of an error frame,
/// and is part of the interface: scripts match on it.
package struct ReplicationError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: String, Hashable, Sendable, CaseIterable {
    // The commands MS_REGISTER_SLAVE and MS_SYNC_SLAVE
    case syntax = "ERR"
    case protocolVersion = "PROTOVERSION"
    case duplicateID = "DUPLICATEID"
    case selfRegister = "SELFREGISTER"
    case cycle = "CYCLE"
    case maxSlaves = "MAXSLAVES"
    case dataLoss = "DATALOSS"
    case otherLineage = "OTHERLINEAGE"
    case otherDataSet = "OTHERDATASET"
    case notRegistered = "NOTREGISTERED"
    case syncImpossible = "SYNCIMPOSSIBLE"
    case staleTerm = "STALETERM"
    case rewindRefused = "REWINDREFUSED"
    /// A person must say which of two logs counts: see `StartDivergence`.
    case diverged = "DIVERGED"
    case handoverRefused = "HANDOVERREFUSED"
    case voterChange = "VOTERCHANGE"
    /// What was claimed is not borne out by those whom it is about. Asked again later, it may be.
    case unproven = "UNPROVEN"
    // The stream
    case badFrame = "BADFRAME"
    case badAck = "BADACK"
    case unexpectedFrame = "UNEXPECTEDFRAME"
    case logGap = "LOGGAP"
    case logOverlap = "LOGOVERLAP"
    case termBackwards = "TERMBACKWARDS"
    case snapshotMismatch = "SNAPSHOTMISMATCH"
    case planMismatch = "PLANMISMATCH"
    case badManifest = "BADMANIFEST"
    case unknownFile = "UNKNOWNFILE"
    case chunkOrder = "CHUNKORDER"
    case fileSize = "FILESIZE"
    case fileChecksum = "FILECHECKSUM"
    case deltaOrder = "DELTAORDER"
    case deltaIncomplete = "DELTAINCOMPLETE"
    case barrierMissed = "BARRIERMISSED"
    case timeout = "TIMEOUT"
    case linkLost = "LINKLOST"
    case replaced = "REPLACED"
    case needPlan = "NEEDPLAN"
    case pinLost = "PINLOST"
    case readFailed = "READFAILED"
    case storeFailed = "STOREFAILED"
    case peerRefused = "PEERREFUSED"
    case detached = "DETACHED"
  }
  package let code: Code
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// As a RESP error without the leading `-`. Never holds CR or LF.
  package var description: String { "\(code.rawValue) \(singleLine(message, bytesMax: 1024))" }
}

/// A peer's text made fit for one line of a log or a RESP error: control characters become `?`, the rest is cut.
/// Without this a peer could split a reply in two.
package func singleLine(_ text: String, bytesMax: Int = 96) -> String {
  var bytes: [UInt8] = []
  for byte in text.utf8 {
    if bytes.count >= bytesMax {
      bytes.append(contentsOf: Array("...".utf8))
      break
    }
    bytes.append(byte < 32 || byte == 127 ? UInt8(ascii: "?") : byte)
  }
  return String(decoding: bytes, as: UTF8.self)
}
