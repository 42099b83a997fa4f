"""Lines and dots as SVG, for light and dark pages."""

from pathlib import Path

COLOURS = ("#2f6fb3", "#c5522b", "#3a8f4d", "#8457b0")


def chart(
    path: Path,
    title: str,
    x_name: str,
    y_name: str,
    lines: dict[str, list[tuple[float, float]]],
    dotted: dict[str, float] | None = None,
    logarithmic: bool = False,
) -> None:
    """One line for each name, and dotted ones at a height; `logarithmic` is said of the height."""
    from math import ceil, floor, log10

    dotted = dotted or {}
    of_height = (lambda y: log10(y)) if logarithmic else (lambda y: y)
    xs = [x for line in lines.values() for x, _ in line]
    ys = [of_height(y) for line in lines.values() for _, y in line] + [of_height(y) for y in dotted.values()]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    low, high = (floor(low), ceil(high)) if logarithmic else (low - 0.05 * (high - low), high + 0.05 * (high - low))

    def at(x: float, y: float) -> tuple[float, float]:
        return 60 + 420 * (x - left) / (right - left or 1), 250 - 210 * (of_height(y) - low) / (high - low or 1)

    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 290" font-family="sans-serif" font-size="12">',
        "<style>text{fill:#222}.a{stroke:#888}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
        f"<title>{title}</title>",
        f'<text x="60" y="22" font-size="14">{title}</text>',
        '<path class="a" d="M60 40V250H480" fill="none"/>',
        f'<text x="270" y="283" text-anchor="middle">{x_name}</text>',
        f'<text transform="translate(14 145) rotate(-90)" text-anchor="middle">{y_name}</text>',
    ]
    ticks = 4
    for i in range(ticks + 1):
        x = left + (right - left) * i / ticks
        out.append(f'<text x="{60 + 420 * i / ticks:.1f}" y="266" text-anchor="middle">{x:.3g}</text>')
        y = low + (high - low) * i / ticks
        text = f"{10**y:.1e}" if logarithmic else f"{y:.3g}"
        out.append(f'<text x="55" y="{254 - 210 * i / ticks:.1f}" text-anchor="end" font-size="10">{text}</text>')
    for n, (name, line) in enumerate(lines.items()):
        colour = COLOURS[n % len(COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(line) < 12:
            out += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in (at(*point) for point in line)
            ]
        out.append(f'<path d="M495 {54 + 20 * n}h22" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="522" y="{58 + 20 * n}">{name}</text>')
    for n, (name, height) in enumerate(dotted.items()):
        colour = COLOURS[n % len(COLOURS)]
        y = at(left, height)[1]
        out.append(f'<path d="M60 {y:.1f}H480" stroke="{colour}" stroke-dasharray="3 4"/>')
        row = 70 + 20 * (len(lines) + n)
        out.append(f'<path d="M495 {row - 4}h22" stroke="{colour}" stroke-dasharray="3 4"/>')
        out.append(f'<text x="522" y="{row}">{name}</text>')
    path.write_text("\n".join([*out, "</svg>", ""]))
