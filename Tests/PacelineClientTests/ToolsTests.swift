import PacelineClient
import Testing

@Suite struct KeyDistributionTests {
  @Test(arguments: [1, 2, 3, 7, 10, 1000, 65536] as [UInt64])
  func scatteringHitsEveryKeyOnce(itemCount: UInt64) {
    let zipfian = Zipfian(itemCount: itemCount, theta: 0.99)
    let keys = Set((0..<itemCount).map { zipfian.scatter(rank: $0) })
    #expect(keys.count == Int(itemCount))
    #expect(keys.allSatisfy { $0 < itemCount })
  }

  @Test func ranksFollowZipfsLaw() {
    let zipfian = Zipfian(itemCount: 1000, theta: 0.99)
    var random = SplitMix64(seed: 7)
    var counts = [Int](repeating: 0, count: 1000)
    let draws = 400_000
    for _ in 0..<draws { counts[Int(zipfian.rank(random.unit()))] += 1 }
    // The first two ranks are exact, the others as good as the approximation of Gray et al.
    for rank in [0, 1] {
      let share = Double(counts[rank]) / Double(draws)
      #expect(abs(share / zipfian.share(ofRank: UInt64(rank)) - 1) < 0.03, "rank \(rank)")
    }
    let firstTen = Double(counts[..<10].reduce(0, +)) / Double(draws)
    let expected = (0..<10).reduce(0) { $0 + zipfian.share(ofRank: $1) }
    #expect(abs(firstTen / expected - 1) < 0.05)
    #expect(counts[500...].reduce(0, +) > 0)
  }

  @Test func ranksStayInRangeAtBothEnds() {
    for itemCount in [1, 2, 3, 100, 1_000_000_000_000] as [UInt64] {
      let zipfian = Zipfian(itemCount: itemCount, theta: 0.5)
      #expect(zipfian.rank(0) == 0)
      #expect(zipfian.rank(1.0.nextDown) < itemCount)
    }
  }

  @Test func theShortcutForLongSumsIsExact() {
    let n: UInt64 = 3_000_000
    var sum = 0.0
    for i in stride(from: n, through: 1, by: -1) { sum += 1 / Double(i).squareRoot() }
    #expect(abs(Zipfian.zeta(n, 0.5) - sum) < 1e-6)
  }

  @Test func uniformStaysInRangeAndReachesBothEnds() {
    var random = SplitMix64(seed: 1)
    let distribution = KeyDistribution.uniform(keyCount: 4)
    var seen = Set<UInt64>()
    for _ in 0..<1000 { seen.insert(distribution.next(&random)) }
    #expect(seen == [0, 1, 2, 3])
  }
}

@Suite struct StalenessTrackerTests {
  @Test func ageCountsFromTheFirstAcknowledgedWriteThatIsNotSeen() {
    var tracker = StalenessTracker()
    #expect(tracker.age(seen: 0, sentAt: 100) == 0)
    tracker.acknowledged(1, at: 100)
    tracker.acknowledged(2, at: 200)
    tracker.acknowledged(4, at: 400)  // The third write failed.
    #expect(tracker.age(seen: 4, sentAt: 1000) == 0)
    #expect(tracker.age(seen: 5, sentAt: 1000) == 0)
    #expect(tracker.age(seen: 2, sentAt: 1000) == 600)
    #expect(tracker.age(seen: 0, sentAt: 1000) == 900)
    // A write acknowledged after the read was sent need not be seen.
    #expect(tracker.age(seen: 2, sentAt: 400) == 0)
    #expect(tracker.age(seen: 1, sentAt: 300) == 100)
  }

  @Test func itsMemoryIsBounded() {
    var tracker = StalenessTracker(capacity: 10)
    for i in 1...1000 as ClosedRange<UInt64> { tracker.acknowledged(i, at: i * 10) }
    #expect(tracker.age(seen: 999, sentAt: 10_050) == 50)
    let age = tracker.age(seen: 0, sentAt: 10_050)
    #expect(age > 0 && age <= 150)
  }
}

@Suite struct TextTests {
  @Test func numbersReadWell() {
    #expect(HumanText.decimal(1234.5678, digits: 2) == "1234.57")
    #expect(HumanText.decimal(0.996, digits: 2) == "1.00")
    #expect(HumanText.decimal(-0.001, digits: 2) == "0.00")
    #expect(HumanText.decimal(-1.5, digits: 1) == "-1.5")
    #expect(HumanText.decimal(2.5, digits: 0) == "3")
    #expect(HumanText.decimal(1e14, digits: 6) == "100000000000000")
    #expect(HumanText.decimal(1e300, digits: 6) == "-")
    #expect(HumanText.decimal(.nan, digits: 6) == "-")
    #expect(HumanText.decimal(.infinity, digits: 1) == "-")
    #expect(HumanText.count(0) == "0")
    #expect(HumanText.count(1_234_567) == "1,234,567")
    #expect(HumanText.bytes(1023) == "1023 B")
    #expect(HumanText.bytes(1536) == "1.5 KiB")
    #expect(HumanText.bytes((1 << 20) - 1) == "1.0 MiB")
    #expect(HumanText.bytes(.max) == "16384 PiB")
    #expect(HumanText.milliseconds(250) == "250 ms")
    #expect(HumanText.milliseconds(200_000) == "3m 20s")
    #expect(HumanText.bar(done: 1, total: 2, width: 4) == "[##--]")
    #expect(HumanText.bar(done: 9, total: 2, width: 4) == "[####]")
    #expect(HumanText.bar(done: 0, total: 0, width: 4) == "[----]")
  }

  @Test func aTableIsAlignedAndCutToTheTerminal() {
    var table = TextTable([("name", .left), ("n", .right), ("state", .left)])
    table.add(["a", "100", .init("fine", .good)])
    table.add(["longer", "1"])
    #expect(table.lines(colour: false) == ["name      n  state", "a       100  fine", "longer    1"])
    #expect(table.lines(colour: false, widthMax: 8)[1] == "a       ")
    #expect(table.lines(colour: true, widthMax: 15)[1] == "a       100\u{1B}[32m  fi\u{1B}[0m")
  }

  @Test func aServersTextCannotSteerTheTerminal() {
    #expect(TextTable.Cell("a\u{1B}[2J\r\n\u{7}\u{9B}1m").text == "a?[2J???1m")
  }

  @Test func jsonIsQuotedAndOrdered() {
    let json = JSONText.object([
      ("b", .string("\"\\\n\u{1}é")),
      ("a", .array([.null, .boolean(true), .integer(.max), .number(0.5), .number(.nan)])),
    ])
    #expect(json.description == #"{"b":"\"\\\n\u0001é","a":[null,true,18446744073709551615,0.500000,null]}"#)
  }
}
