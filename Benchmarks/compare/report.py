"""The results as a Markdown table and as SVG bars."""

import html

COLOURS = {"paceline": "#2a78d6", "redis": "#d1495b", "redis AOF": "#d1495b", "redis RDB": "#edae49"}


def number(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


def markdown(results):
    machine = results["machine"]
    lines = [
        "# Paceline beside Redis",
        "",
        f"{machine['model']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['kernel']}; {machine['redis']}; {machine['paceline']}.",
        f"{results['settings']}",
        "Both servers on loopback on the same machine as the client, one at a time under load, repetitions interleaved, medians. "
        "Ratio: Paceline over Redis; the arrow says which direction is better.",
    ]
    for section in results["sections"]:
        lines += ["", f"## {section['title']}", ""]
        if section.get("note"):
            lines += [section["note"], ""]
        lines += own_tables(section)
        if not section["rows"]:
            continue
        lines += ["| what | unit | Paceline | Redis | ratio | better |", "|---|---|---:|---:|---:|---|"]
        for row in section["rows"]:
            ratio = row["paceline"] / row["redis"] if row["paceline"] is not None and row["redis"] else None
            lines.append(
                f"| {row['what']} | {row['unit']} | {number(row['paceline'])} | {number(row['redis'])} | "
                f"{f'{ratio:.2f}' if ratio is not None else '-'} | {'↑' if row['higher_is_better'] else '↓'} |"
            )
        lines += ["", f"![{section['title']}]({section['name']}.svg)"]
    return "\n".join(lines) + "\n"


def own_tables(section):
    """Tables, plots and checks of a section that is not a row-by-row comparison."""
    lines = []
    for head, *rows in section.get("tables", []):
        lines += [cells(head), cells(["---"] + ["---:"] * (len(head) - 1)), *map(cells, rows), ""]
    for name in section.get("plots", {}):
        lines += [f"![{section['title']}]({name}.svg)", ""]
    for what, held, value in section.get("checks", []):
        lines.append(f"- {'not measured' if held is None else 'held' if held else 'NOT HELD'}: {what} ({value})")
    return lines[:-1] if lines and not lines[-1] else lines


def cells(row):
    return f"| {' | '.join(row)} |"


def svg(section):
    """Horizontal bars, two a row, each row scaled to its own larger value: units differ between rows."""
    rows = section["rows"]
    width, bar, gap = 420, 16, 18
    left = 30 + max(round(len(row["what"]) * 7.2) for row in section["rows"])
    height = 60 + len(rows) * (2 * bar + gap)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 190}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/><text x="12" y="24" font-size="16" font-weight="bold">{html.escape(section["title"])}</text>',
    ]
    for place, name in enumerate(("paceline", "redis")):
        x = left + place * 110
        out.append(f'<rect x="{x}" y="32" width="12" height="12" fill="{COLOURS[name]}"/><text x="{x + 17}" y="43">{name.capitalize()}</text>')
    y = 58
    for row in rows:
        out.append(f'<text x="{left - 10}" y="{y + bar + 4}" text-anchor="end">{html.escape(row["what"])}</text>')
        most = max(row["paceline"] or 0, row["redis"] or 0) or 1
        for name in ("paceline", "redis"):
            value = row[name]
            length = max(1, width * (value or 0) / most)
            out.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
            out.append(f'<text x="{left + length + 6:.1f}" y="{y + bar - 4}" font-size="12">{number(value)} {html.escape(row["unit"])}</text>')
            y += bar
        y += gap
    return "\n".join([*out, "</svg>"]) + "\n"
