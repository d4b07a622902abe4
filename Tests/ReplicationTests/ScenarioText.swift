import Core

@testable import Replication

/// Actions as one readable line each. Nodes are n1, n2, ...
enum ScenarioText {
  static func short(_ text: String) -> String {
    var text = text
    for n in UInt8(1)...30 { text = text.replacing(node(n).description, with: "n\(n)") }
    return text
  }

  static func line(_ action: RelayAction) -> String {
    switch action {
    case .sendControl(let header, _): "send \(header.type)\(frame(header))"
    case .readLog(let from, _): "read the log from \(from)"
    case .readFile(let number, let offset, let bytes): "read file \(number) at \(offset), \(bytes) bytes"
    case .readDelta(let upTo, _): "read the delta up to \(upTo)"
    case .sendRead(let header): "send \(header.type) \(header.firstLSN)..\(header.lastLSN)\(frame(header))"
    case .sent(let upTo, let fileBytes): "sent up to \(upTo), file bytes \(fileBytes)"
    case .progress(let progress): "progress \(progress.bytesDone) of \(progress.bytesTotal) bytes"
    case .streaming: "streaming"
    case .releaseFiles(let snapshot): "release files of snapshot \(snapshot)"
    case .wake(let tick): "wake at \(tick.milliseconds)"
    case .close(let error): "close: \(error)"
    }
  }
  private static func frame(_ header: FrameHeader) -> String {
    ", term \(header.term), committed \(header.committedLSN)"
  }

  static func line(_ action: ApplierAction) -> String {
    switch action {
    case .connect(let address): "connect to \(address)"
    case .sendRegister(let request):
      "register, last \(request.last), known term \(request.knownReign.term), voter \(KeyValueArguments.text(request.isVoter))"
    case .sendSync(let request):
      "ask for a sync from \(request.position), rewind floor \(request.rewindFloor?.description ?? "none")"
    case .sendAck(let ack): "ack \(ack)"
    case .rewind(let lsn): "rewind to \(lsn)"
    case .takeOver(let order): "take over in term \(order.term) at \(order.lastLSN)\(order.isForced ? ", forced" : "")"
    case .beginSnapshot(let begin, _, _): "begin snapshot \(begin.snapshot)"
    case .dropSnapshot(let snapshot): "drop snapshot \(snapshot)"
    case .openFile(let number, let offset): "open file \(number) at \(offset)"
    case .writeChunk(let number, let offset, let bytes): "write file \(number) at \(offset), \(bytes) bytes"
    case .verifyFile(let number, let bytes, _): "verify file \(number) of \(bytes) bytes"
    case .keepRecordPart(_, let lsn, let bytes): "keep \(bytes) bytes of record \(lsn)"
    case .appendRecords(let target, let first, let last, let term):
      "append \(first)..\(last) of term \(term) to the \(target) log"
    case .applyUpTo(let lsn, _): "apply up to \(lsn)"
    case .swapIn(let snapshot, let lsn, _, _, let keepsOld):
      "swap in snapshot \(snapshot), visible up to \(lsn)\(keepsOld ? ", the old data is set aside" : "")"
    case .beginDelta(let after, _): "begin a delta after \(after)"
    case .keepDeltaPart(let lsn, let bytes): "keep \(bytes) bytes of delta record \(lsn)"
    case .stageDelta(let first, let last, let term): "stage \(first)..\(last) of term \(term)"
    case .installDelta(let end, _): "install the delta up to \(end.barrierLSN)"
    case .abandonDelta: "abandon the delta"
    case .adoptLineage(let lineage): "adopt the data set \(lineage)"
    case .noteOrder(let lineage): "write down the order to take \(lineage)"
    case .markOutOfSync: "out of sync"
    case .markInSync(let lsn): "in sync at \(lsn)"
    case .upstreamChanged(let nodes): "\(nodes.count) nodes above"
    case .slaveListChanged(let list): "slave list \(list.revision)"
    case .compareDigest(let digest): "compare the digest at \(digest.lsn)"
    case .prove(let question): "show the digest at \(question.digestLSN)"
    case .masterSeen(let last, _, _): "the master is at \(last)"
    case .closeLink(let error): "close: \(error)"
    case .scheduleRetry(let tick): "retry at \(tick.milliseconds)"
    }
  }

  static func line(_ action: CommitWatchAction) -> String {
    switch action {
    case .degraded(let reason): "DEGRADED: \(reason)"
    case .restored(let lsn): "RESTORED up to \(lsn)"
    }
  }

  static func line(_ action: PromotionAction) -> String {
    switch action {
    case .ask(let known): "ask \(known.id)"
    case .persistVote(let vote): "persist the vote for \(vote.candidate) in term \(vote.term)"
    case .requestVote(let known, let request):
      "request the vote of \(known.id) in term \(request.term), last \(request.last)\(request.isForced ? ", forced" : "")"
    case .tellLoss(let what): "tell what may be lost: \(what)"
    case .becomeMaster(let term): "become master in term \(term)"
    case .announce(let nodes, let news):
      "announce \(news.id) in term \(news.term) from \(news.firstLSN) to \(nodes.map(\.id.description).joined(separator: " "))"
    case .refuse(let text): "refuse: \(text)"
    }
  }

  static func line(_ action: HandoverAction) -> String {
    switch action {
    case .pauseWrites: "pause writes"
    case .resumeWrites: "resume writes"
    case .sendHandover(let target, let order):
      "hand over to \(target.id) in term \(order.term) at \(order.lastLSN)\(order.isForced ? ", forced" : "")"
    case .ask(let target): "ask \(target.id)"
    case .follow(let address, let term): "follow \(address) in term \(term)"
    case .beginReign(let term): "begin a reign in term \(term)"
    case .finished(let why): "finished: \(why ?? "OK")"
    }
  }
}
