import Testing

@testable import Simulator

@Suite struct FaultPlanTests {
  @Test func theSeedSaysItAll() {
    for seed in UInt64(0)..<50 { #expect(FaultPlan(seed: seed) == FaultPlan(seed: seed)) }
    #expect(Set((UInt64(0)..<50).map { FaultPlan(seed: $0).milliseconds }).count > 20)
  }

  @Test func plansStayWithinTheirBounds() {
    for seed in UInt64(0)..<500 {
      let plan = FaultPlan(seed: seed)
      #expect((1...5).contains(plan.nodes))
      #expect(plan.faults.map(\.at) == plan.faults.map(\.at).sorted())
      for planned in plan.faults {
        #expect((0..<plan.milliseconds).contains(planned.at))
        if case .cut(let from, let to, _, _) = planned.fault { #expect(from != to) }
      }
    }
  }

  @Test func everyKindOfTroubleComesUp() {
    var kinds: Set<String> = []
    for seed in UInt64(0)..<500 {
      for planned in FaultPlan(seed: seed).faults {
        kinds.insert(planned.fault.kind)
      }
    }
    #expect(kinds.count == 29)
  }
}
