/// Rows and columns for a terminal: a line of headers, then the rows, each column as wide as its widest cell.
package struct TextTable: Sendable {
  package enum Alignment: Sendable { case left, right }

  package enum Style: Sendable {
    case plain, dim, bold, good, warning, bad

    fileprivate var code: String {
      switch self {
      case .plain: "0"
      case .dim: "2"
      case .bold: "1"
      case .good: "32"
      case .warning: "33"
      case .bad: "31"
      }
    }
  }

  package struct Cell: Sendable, Equatable, ExpressibleByStringLiteral {
    package var text: String
    package var style: Style
    package init(_ text: String, _ style: Style = .plain) {
      self.text = HumanText.harmless(text)
      self.style = style
    }
    package init(stringLiteral text: String) { self.init(text) }
  }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[Cell]] = []

  package init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

  /// A row has at most as many cells as there are columns; missing ones are empty.
  package mutating func add(_ row: [Cell]) {
    precondition(row.count <= columns.count, "\(row.count) cells in a table of \(columns.count) columns")
    rows.append(row)
  }

  /// Characters of the longest line.
  package var width: Int { lines(colour: false).map(\.count).max() ?? 0 }

  /// The same table without one of its columns.
  package func without(_ title: String) -> TextTable {
    guard let index = columns.firstIndex(where: { $0.title == title }) else { return self }
    var kept = columns
    kept.remove(at: index)
    var table = TextTable(kept)
    for var row in rows {
      if index < row.count { row.remove(at: index) }
      table.add(row)
    }
    return table
  }

  /// The lines without line ends. A line is cut to `widthMax` characters; with `colour` it has ANSI sequences, which take
  /// no width. Every character counts as one column.
  package func lines(colour: Bool, widthMax: Int = .max) -> [String] {
    let headers = columns.map { Cell($0.title, .dim) }
    let all = [headers] + rows
    let widths = columns.indices.map { i in all.map { i < $0.count ? $0[i].text.count : 0 }.max() ?? 0 }
    return all.map { row in
      var line = ""
      var left = widthMax
      for (i, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[i] - cell.text.count)
        let isLast = i == row.count - 1
        let gap = i == 0 ? "" : "  "
        let text =
          switch columns[i].alignment {
          case .left: gap + cell.text + (isLast ? "" : padding)
          case .right: gap + padding + cell.text
          }
        let visible = String(text.prefix(left))
        left -= visible.count
        line += colour && cell.style != .plain ? "\u{1B}[\(cell.style.code)m\(visible)\u{1B}[0m" : visible
      }
      return line
    }
  }
}
