import PacelineClient
import Testing

@Suite struct NodeReportTests {
  static let master = InfoText(
    """
    # Server\r
    run_id:aa\r
    # Replication\r
    role:master\r
    term:3\r
    appended_lsn:1200\r
    durable_lsn:1190\r
    committed_lsn:1190\r
    applied_lsn:1190\r
    connected_slaves:2\r
    slave0:ip=127.0.0.1,port=7401,state=online,offset=1,lag=0,node=bb,lag_records=10,lag_bytes=2048,lag_ms=7,plan=partial\r
    slave1:ip=::1,port=7402,state=sync,offset=1,lag=0,node=cc,lag_records=900,plan=full,sync_bytes_done=1048576,sync_bytes_total=4194304,sync_rate=1048576,sync_eta_ms=3000\r
    # Keyspace\r
    db0:keys=10,expires=0,avg_ttl=0\r
    db3:keys=5,expires=0,avg_ttl=0\r
    dbx:keys=7\r
    used_memory:1048576\r
    empty:\r
    """)

  @Test func infoIsRead() {
    let info = Self.master
    #expect(info["role"] == "master")
    #expect(info["empty"] == nil)
    #expect(info["missing"] == nil)
    #expect(info.integer("term") == 3)
    #expect(info.keyCount == 15)
    #expect(info.slaves.map { $0.address?.description } == ["127.0.0.1:7401", "[::1]:7402"])
    #expect(info.slaves[0].pairs.integer("lag_bytes") == 2048)
  }

  @Test func aMasterAndItsSlavesAreRows() throws {
    let address = NodeAddress(host: "127.0.0.1", port: 7400)
    let lines = Self.master.slaves.map(\.pairs)
    let following = InfoText(
      "role:slave\nmaster_host:127.0.0.1\nmaster_port:7400\nmaster_link_status:up\ndigest_state:equal\nsync_state:streaming"
    )
    let reports = [
      NodeReport(address: address, answer: .status(ReportedStatus(Self.master))),
      NodeReport(
        address: .init(host: "127.0.0.1", port: 7401), answer: .status(ReportedStatus(following)),
        lineAtMaster: lines[0]),
      NodeReport(
        address: .init(host: "::1", port: 7402),
        answer: .status(ReportedStatus(InfoText("role:slave\nmaster_link_status:up"))),
        lineAtMaster: lines[1]),
      NodeReport(address: .init(host: "x", port: 1), answer: .unreachable(reason: "connection refused")),
    ]
    let table = NodeReport.table(reports).lines(colour: false)
    #expect(table.count == 5)
    #expect(table[1].contains("1200") && table[1].hasSuffix("2 slaves"))
    #expect(table[2].contains("2.0 KiB") && table[2].hasSuffix("streaming, digest equal"))
    #expect(table[3].hasSuffix("full sync [####------------] 25% 1.0 MiB of 4.0 MiB, 1.0 MiB/s, ETA 3.0 s"))
    #expect(table[4].hasSuffix("unreachable: connection refused"))
    #expect(reports[1].master == address)
    #expect(reports[1].identity == "bb")
    #expect(
      reports[3].json.description.hasPrefix(#"{"node":"x:1","reachable":false,"error":"connection refused","id":null"#))
  }

  @Test func whatIsWrongComesFirst() {
    func state(_ info: String) -> String? {
      let report = NodeReport(address: .init(host: "a", port: 1), answer: .status(ReportedStatus(InfoText(info))))
      return NodeReport.table([report]).lines(colour: false).last
    }
    #expect(
      state("role:slave\nmaster_link_status:down\nmaster_host:b\nmaster_port:2")?.hasSuffix("link to b:2 is down")
        == true)
    #expect(
      state("role:slave\nmaster_link_status:up\ndigest_state:different")?.hasSuffix(
        "up; DATA DIFFERS from the master's") == true)
    #expect(state("role:master\nloading:1")?.hasSuffix("loading its data") == true)
    #expect(state("")?.hasSuffix("link is unknown") == true)
    #expect(
      state("role:master\ncommit_level:quorum\ncommit_degraded:1")?.hasSuffix(
        "WITHOUT ITS SLAVES: goes on as if async, not quorum") == true)
    #expect(
      state("role:master\nread_lease:ended\ncommit_degraded:0")?.hasSuffix(
        "NO MAJORITY of the voters is heard of: it answers nothing") == true)
    #expect(
      state("role:master\nwrites_refused:min-slaves")?.hasSuffix(
        "TAKES NO WRITES: fewer slaves keep up than --min-slaves") == true)
    #expect(state("role:master\nwrites_refused:queue")?.hasSuffix("TAKES NO WRITES: too many wait for slaves") == true)
    #expect(state("role:master\nread_lease:held\ncommit_degraded:0\nwrites_refused:no")?.hasSuffix("no slaves") == true)
    #expect(
      state("role:master\nlost_files:lost-1-7.resp;lost-3-9.resp")?.hasSuffix(
        "no slaves; CUT OFF ITS LOG: lost-1-7.resp, lost-3-9.resp") == true)
  }

  @Test(arguments: [60, 80, 100, 120, 200]) func aNarrowTerminalKeepsTheStateAndTheLag(columns: Int) {
    let slave = NodeReport(
      address: .init(host: "127.0.0.1", port: 7401),
      answer: .status(ReportedStatus(InfoText("role:slave\nmaster_link_status:up"))),
      lineAtMaster: Self.master.slaves[0].pairs)
    let lines = NodeReport.lines([slave], colour: false, widthMax: columns)
    #expect(lines.allSatisfy { $0.count <= columns })
    #expect(lines[0].contains("lag rec") && lines[0].contains("lag ms"))
    #expect(lines.last?.hasSuffix("online") == true)
  }
}
