import RESP
import Testing

@Suite struct LoginTests {
  @Test func aWrongPasswordIsRefused() {
    #expect(Login.refusal(.error(.init("WRONGPASS no"))) == "WRONGPASS no")
    #expect(Login.refusal(.error(.init("NOAUTH x"))) == "NOAUTH x")
    #expect(!Login.isAccepted(.error(ErrorCode("WRONGPASS"))))
  }

  @Test func aNodeWithoutAPasswordGoesOn() {
    #expect(Login.refusal(.error(.init("ERR AUTH <password> called without any password configured"))) == nil)
    #expect(Login.isAccepted(.error(ErrorCode("ERR"))))
  }

  @Test func theRightPasswordIsTaken() {
    #expect(Login.refusal(.simple("OK")) == nil && Login.isAccepted(.line))
    #expect(Login.command(password: "p w") == ["AUTH", "p w"])
  }
}
