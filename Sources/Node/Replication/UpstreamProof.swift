import Core
import LogStore
import Replication

// Showing the master what this node holds.
extension UpstreamLink {
  /// Only the newest question counts.
  func receive(_ question: ProofQuestion) {
    self.question = question
    owesLog = question.piece != nil
    proveOn()
  }

  /// After every step while a question is out: its piece of log may be durable by now, its LSN be passed.
  func proveOn() {
    guard let question, isOwnLog else { return }
    let store = core.store
    if owesLog, let piece = question.piece {
      let durable = core.durability == .fsync ? store.positions.durable : store.positions.written
      if durable >= piece.last {
        owesLog = false
        if let participant = store.epochs.join() {
          let sum = store.sum(of: piece, participant)
          store.epochs.resign(participant)
          if let sum { answer(.log(sum)) }
        }
      }
    }
    store.withWriteLock { access in
      if store.positions.applied >= question.digestLSN { showDigest(store, access) }
    }
  }

  /// When what is applied has reached the question's LSN.
  func showDigest(_ store: LogStore, _ access: borrowing WriteAccess) {
    guard let question else { return }
    self.question = nil
    let digest = core.digest(of: store, access)
    guard digest.lsn == question.digestLSN else { return answer(.passed, to: question) }
    answer(.digest(digest.summary(for: question.number)), to: question)
  }

  private func answer(_ shown: ProofAnswer.Shown) {
    if let question { answer(shown, to: question) }
  }
  private func answer(_ shown: ProofAnswer.Shown, to question: ProofQuestion) {
    wire?.send(FrameHeader(type: .proof).frame(body: ProofAnswer(number: question.number, shown: shown).encoded()))
  }
}
