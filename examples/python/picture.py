"""Lines and dots as SVG, for light and dark pages."""

from math import ceil, floor, log10
from pathlib import Path

#: x, y and, where it has one, the standard error of y.
Point = tuple[float, float] | tuple[float, float, float]

LEFT, RIGHT, TOP, BOTTOM = 64, 480, 40, 250
STYLE = (
    "text{fill:#1f2328}.page{fill:#fff}.grid{stroke:#dde2e7}.edge{stroke:#8c959f}"
    ".s0{color:#0072b2}.s1{color:#d55e00}.s2{color:#009e73}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.grid{stroke:#262c36}"
    ".s0{color:#4aa8e0}.s1{color:#ee8137}.s2{color:#2bbd94}}"
)


class Axis:
    """From the first of its ticks to the last."""

    def __init__(self, ticks: list[float], start: float, end: float, logarithmic: bool) -> None:
        self.ticks, self.start, self.end, self.logarithmic = ticks, start, end, logarithmic

    def __call__(self, value: float) -> float:
        low, high, at = (log10(v) if self.logarithmic else v for v in (self.ticks[0], self.ticks[-1], value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)


def round_numbers(values: list[float], logarithmic: bool) -> list[float]:
    """At most seven, with all the values between them."""
    low, high = min(values), max(values)
    if logarithmic:
        return [10.0**k for k in range(floor(log10(low)), ceil(log10(high)) + 1)]
    magnitude = 10.0 ** floor(log10((high - low) / 5))
    step = next(s for s in (magnitude, 2 * magnitude, 5 * magnitude, 10 * magnitude) if (high - low) / s <= 5)
    return [k * step for k in range(floor(low / step), ceil(high / step) + 1)]


def chart(
    path: Path,
    title: str,
    x_name: str,
    y_name: str,
    lines: dict[str, list[Point]],
    levels: dict[str, float] | None = None,
    logarithmic: str = "",
) -> None:
    """One line for each name, and dashed ones at a level; `logarithmic` names the axes that are.

    Where there are few points, they have dots, and the ticks stand below them.
    """
    levels = levels or {}
    points = [point for line in lines.values() for point in line]
    of_x = sorted({point[0] for point in points})
    few = len(of_x) < 6
    xs = Axis(of_x if few else round_numbers(of_x, "x" in logarithmic), LEFT, RIGHT, "x" in logarithmic)
    ends = [point[1] + sign * sum(point[2:]) for point in points for sign in (-1, 1)] + list(levels.values())
    ys = Axis(round_numbers(ends, "y" in logarithmic), BOTTOM, TOP, "y" in logarithmic)
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 294" role="img" '
        "font-family=\"system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif\" font-size=\"12\">",
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        '<rect class="page" width="660" height="294"/>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="600">{title}</text>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="286" text-anchor="middle">{x_name}</text>',
        f'<text transform="translate(14 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{y_name}</text>',
    ]
    for y in ys.ticks:
        out.append(f'<path class="grid" d="M{LEFT} {ys(y):.1f}H{RIGHT}"/>')
        out.append(f'<text x="{LEFT - 7}" y="{ys(y) + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in xs.ticks:
        out.append(f'<path class="edge" d="M{xs(x):.1f} {BOTTOM}v5"/>')
        out.append(f'<text x="{xs(x):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{x:.4g}</text>')
    out.append(f'<path class="edge" d="M{LEFT} {BOTTOM}H{RIGHT}"/>')
    for n, (name, line) in enumerate(lines.items()):
        out.append(f'<g class="s{n}" stroke="currentColor" stroke-width="2">')
        out.append(f'<polyline points="{" ".join(f"{xs(p[0]):.1f},{ys(p[1]):.1f}" for p in line)}" fill="none"/>')
        for x, y, *error in line if few else []:
            out.append(f'<circle cx="{xs(x):.1f}" cy="{ys(y):.1f}" r="3" fill="currentColor"/>')
            out += [f'<path d="M{xs(x):.1f} {ys(y - e):.1f}V{ys(y + e):.1f}"/>' for e in error]
        out.append(f'<path d="M496 {54 + 20 * n}h22"/></g>')
        out.append(f'<text x="525" y="{58 + 20 * n}">{name}</text>')
    for n, (name, level) in enumerate(levels.items()):
        row = 54 + 20 * (len(lines) + n)
        dashes = f"M{LEFT} {ys(level):.1f}H{RIGHT}M496 {row}h22"
        out.append(f'<path class="s{n}" d="{dashes}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 3"/>')
        out.append(f'<text x="525" y="{row + 4}">{name}</text>')
    path.write_text("\n".join([*out, "</svg>", ""]))
