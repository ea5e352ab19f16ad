"""The distribution of gaps as an SVG: the share that is no longer than so many ms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 260, 40, 40
MAX_MS = 1000
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e")


def draw(curves: dict[str, Sequence[float]], path: Path) -> None:
    """Draw one curve for each name, from its sorted gaps."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_grid(),
    ]
    for number, (name, gaps) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _points(gaps))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{WIDTH - 300}" y="{HEIGHT - 70 - 18 * number}" '
            f'fill="{colour}">{name}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _grid() -> list[str]:
    parts = []
    for ms in range(0, MAX_MS + 1, 200):
        x = _x(ms)
        parts.append(f'<path d="M{x} 10V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{x}" y="{HEIGHT - 22}" text-anchor="middle">{ms} ms</text>'
        )
    for percent in (0, 50, 100):
        y = _y(percent / 100)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - 10}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{LEFT - 4}" y="{y + 4}" text-anchor="end">{percent}%</text>'
        )
    parts.append(
        f'<text x="{LEFT}" y="{HEIGHT - 6}">share of the gaps between updates that '
        "are no longer than this</text>"
    )
    return parts


def _points(gaps: Sequence[float]) -> list[tuple[float, float]]:
    step = max(1, len(gaps) // 300)
    shown = list(gaps)[::step]
    points = [
        (_x(min(gap, MAX_MS)), _y(number / len(shown)))
        for number, gap in enumerate(shown, 1)
    ]
    return [(_x(0), _y(0)), (points[0][0], _y(0)), *points, (_x(MAX_MS), _y(1))]


def _x(ms: float) -> float:
    return LEFT + ms / MAX_MS * (WIDTH - LEFT - 40)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 15)
