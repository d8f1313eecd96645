# SPDX-License-Identifier: Apache-2.0
"""Bar charts as SVG: what spans decades, side by side in groups, on a logarithmic scale."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

_WIDTH, _LABELS, _RIGHT, _BAR, _GAP, _TOP = 760, 210, 80, 15, 10, 48
_COLOURS = ("#c1121f", "#1d4e89", "#2a7f3f", "#8e5ea2", "#b5651d", "#6b6b6b")


def draw(title: str, below: list[str], groups: list[tuple[str, dict[str, float]]]) -> str:
    """`below`: lines under the title; the axis is logarithmic. `groups`: what a group is called, and its values by series, all above 0; a series has one colour throughout."""
    names = list(dict.fromkeys(name for _, values in groups for name in values))
    every = [value for _, values in groups for value in values.values()]
    low = 10.0 ** math.floor(math.log10(min(every)))
    if min(every) < 3 * low:
        low /= 10  # a bar that can be seen
    across = (_WIDTH - _LABELS - _RIGHT) / math.log10(max(every) / low)
    legend = 18 * len(names) if len(names) > 1 else 0
    top = _TOP + 16 * len(below) - 6
    height = top + sum(len(values) * _BAR + _GAP for _, values in groups) + legend + 12
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
           f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
           *(f'<text x="12" y="{42 + 16 * number}" fill="#444">{escape(line)}</text>' for number, line in enumerate(below))]
    y = float(top)
    for group, values in groups:
        out.append(_text(_LABELS - 8, y + len(values) * _BAR / 2 + 4, group, "end"))
        for name, value in values.items():
            wide = across * math.log10(value / low)
            out.append(f'<rect x="{_LABELS}" y="{y:.1f}" width="{wide:.1f}" height="{_BAR - 2}" fill="{_colour(names, name)}"/>')
            out.append(_text(_LABELS + wide + 5, y + _BAR - 4, f"{value:,.0f}" if value >= 10 else f"{value:.2g}"))
            y += _BAR
        y += _GAP
    if legend:
        for name in names:
            out.append(f'<rect x="{_LABELS}" y="{y:.1f}" width="12" height="12" fill="{_colour(names, name)}"/>')
            out.append(_text(_LABELS + 18, y + 10, name))
            y += 18
    return "\n".join([*out, "</svg>"]) + "\n"


def _colour(names: list[str], name: str) -> str:
    return _COLOURS[names.index(name) % len(_COLOURS)]


def _text(x: float, y: float, what: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(what)}</text>'
