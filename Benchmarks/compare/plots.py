"""Lines over time and heat maps as SVG, without a library."""

import html
import math

LINES = ("#2a78d6", "#d1495b", "#3b8f5e", "#edae49", "#7b5ea7", "#666666")


def head(width, height, title):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="12" y="24" font-size="16" font-weight="bold">{html.escape(title)}</text>',
    ]


def ticks(most, count=5):
    """Round numbers from 0 to at least `most`."""
    rough = (most or 1) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    return [step * i for i in range(math.ceil((most or 1) / step) + 1)]


def lines(title, series, unit, dashed=()):
    """`series`: name -> [(seconds, value)]. Names in `dashed` are limits, not measurements."""
    width, height, left, top, bottom = 760, 380, 70, 62, 40
    last = max(x for points in series.values() for x, _ in points) or 1
    marks = ticks(max(y for points in series.values() for _, y in points))
    wide, high = width - left - 20, height - top - bottom

    def place(x, y):
        return left + wide * x / last, top + high * (1 - y / marks[-1])

    out = head(width, height, title)
    for mark in marks:
        _, y = place(0, mark)
        out.append(f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:,.4g}</text>')
    for mark in ticks(last, 8):
        if mark <= last:
            x, _ = place(mark, 0)
            out.append(f'<text x="{x:.1f}" y="{top + high + 18}" text-anchor="middle">{mark:,.4g}</text>')
    out.append(f'<text x="{left + wide}" y="{height - 6}" text-anchor="end">seconds</text><text x="12" y="{top - 6}">{html.escape(unit)}</text>')
    x = left
    for number, (name, points) in enumerate(series.items()):
        colour, dash = LINES[number % len(LINES)], ' stroke-dasharray="6 4"' if name in dashed else ""
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(*point) for point in points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        out.append(f'<line x1="{x}" x2="{x + 18}" y1="40" y2="40" stroke="{colour}" stroke-width="2.5"{dash}/><text x="{x + 23}" y="44">{html.escape(name)}</text>')
        x += 38 + round(len(name) * 6.6)
    return "\n".join([*out, "</svg>"]) + "\n"


def heat_map(title, rows, columns, cells, label, note=""):
    """`cells[(row, column)]`: a ratio, 1 is white, less is blue, more is red; None is grey. `label(ratio)`: the text."""
    left, wide, high, top = 30 + max(round(len(name) * 6.8) for name in rows), 118, 30, 62
    width = max(left + wide * len(columns) + 20, 60 + round(max(len(note) * 6.2, len(title) * 9)))
    out = head(width, top + high * len(rows) + 34, title)
    for j, name in enumerate(columns):
        out.append(f'<text x="{left + wide * j + wide / 2}" y="{top - 10}" text-anchor="middle">{html.escape(name)}</text>')
    for i, row in enumerate(rows):
        y = top + high * i
        out.append(f'<text x="{left - 10}" y="{y + high / 2 + 4}" text-anchor="end">{html.escape(row)}</text>')
        for j, column in enumerate(columns):
            ratio = cells.get((row, column))
            colour = shade(ratio)
            out.append(f'<rect x="{left + wide * j}" y="{y}" width="{wide - 2}" height="{high - 2}" fill="{colour}"/>')
            text = html.escape(label(ratio) if ratio is not None else "-")
            out.append(f'<text x="{left + wide * j + wide / 2}" y="{y + high / 2 + 4}" text-anchor="middle">{text}</text>')
    out.append(f'<text x="12" y="{top + high * len(rows) + 20}">{html.escape(note)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def shade(ratio):
    """White at 1; full colour at 10 times more or less."""
    if ratio is None or ratio <= 0:
        return "#e6e6e6"
    strength = min(1, abs(math.log10(ratio)))
    full = (42, 120, 214) if ratio < 1 else (209, 73, 91)
    return "#" + "".join(f"{round(255 + (part - 255) * strength * 0.75):02x}" for part in full)
