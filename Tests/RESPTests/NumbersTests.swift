import RESP
import Testing

struct NumbersTests {
  @Test(arguments: [
    "0", "1", "-1", "9", "10", "99", "100", "-100", "123456789", "999999999999999999", "1000000000000000000",
    "9223372036854775807", "-9223372036854775808", "-9223372036854775807", "8999999999999999999",
  ])
  func `an integer is read and written back`(text: String) {
    let value = withBytes(text, parseInteger)
    #expect(value == Int64(text))
    #expect(format(value ?? 0) == text)
  }

  @Test(arguments: [
    "", "-", "-0", "00", "01", "-01", "+1", " 1", "1 ", "1a", "a", "0x1", "1.0", "9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999",
    "100000000000000000000", "-99999999999999999999", "1\0", "\0", "--1", "1-", "/", ":", "1:", "1/",
  ])
  func `what Redis does not take for an integer is refused`(text: String) {
    #expect(withBytes(text, parseInteger) == nil)
  }

  @Test func `random integers keep their value`() {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<20_000 {
      let value = Int64.random(in: .min ... .max, using: &random) >> Int64.random(in: 0...63, using: &random)
      let text = format(value)
      #expect(text == String(value))
      #expect(withBytes(text, parseInteger) == value)
    }
  }

  @Test(arguments: [
    ("10.5", "10.5"), ("5.0e3", "5000"), ("-0", "0"), ("-0.0", "0"), ("3.0", "3"), ("0.1", "0.1"), ("100", "100"),
    ("1e-17", "0.00000000000000001"), ("1e20", "100000000000000000000"), ("0x10", "16"),
    ("inf", "inf"), ("-inf", "-inf"), ("INFINITY", "inf"), (".5", "0.5"), ("5.", "5"), ("+5", "5"), ("1e-400", "0"),
  ])
  func `a float is read as strtold does and written without exponent`(text: String, expected: String) {
    #expect(withBytes(text, parseFloat).map(formatFloat) == expected)
  }

  @Test(arguments: [
    "", " 1", "1 ", "\t1", "1\n", "nan", "-nan", "NaN(1)", "abc", "1.5x", "1\0", "1.0 2", "1e99999", "-1e99999",
    "1e-99999", "--1",
  ])
  func `what Redis does not take for a float is refused`(text: String) {
    #expect(withBytes(text, parseFloat) == nil)
  }

  @Test func `a text of five kilobytes is no float`() {
    #expect(withBytes(String(repeating: "1", count: 5 * 1024), parseFloat) == nil)
    #expect(withBytes("1." + String(repeating: "0", count: 5000), parseFloat).map(formatFloat) == "1")
  }

  @Test func `the largest float can be printed`() {
    #expect(formatFloat(.greatestFiniteMagnitude).utf8.count > 300)
    #expect(formatFloat(-.greatestFiniteMagnitude).hasPrefix("-"))
  }

  @Test(arguments: [
    ("10.5", "0.1", "10.6"), ("5.0e3", "2.0e2", "5200"), ("3.0", "1.1", "4.1"), ("10.6", "-5", "5.6"),
    ("0", "-0", "0"), ("1", "0.3", "1.3"),
  ])
  func `INCRBYFLOAT adds as in Redis`(a: String, b: String, sum: String) throws {
    let x = try #require(withBytes(a, parseFloat))
    let y = try #require(withBytes(b, parseFloat))
    #expect(formatFloat(x + y) == sum)
  }

  @Test(arguments: [
    (1.0, "1"), (0.1, "0.10000000000000001"), (1e300, "1.0000000000000001e+300"), (-2.5, "-2.5"),
    (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"),
  ])
  func `a double is printed with 17 digits`(value: Double, text: String) {
    #expect(formatDouble(value) == text)
  }

  private func format(_ value: Int64) -> String {
    withUnsafeTemporaryAllocation(byteCount: formattedIntegerBytesMax, alignment: 1) { buffer in
      let count = formatInteger(value, at: buffer.baseAddress!)
      return String(decoding: buffer.prefix(count), as: UTF8.self)
    }
  }
}
