# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG, by hand: one line for each system, both axes logarithmic where that helps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from .systems import SYSTEMS

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 132, 48, 52
_COLOURS = {"rvif": "#c1121f", "memif": "#1d4e89", "memif-zc": "#4a90d9", "vhost": "#2a7f3f", "vhost-switch": "#7bb662",
            "ovs-dpdk": "#8e5ea2", "bridge": "#6b6b6b", "limit": "#111111"}


def draw(found: dict[str, Any], folder: Path) -> dict[str, str]:
    """Writes what there is enough of; file names by title."""
    wanted = [
        ("switch-size-dirty.svg", "64 B to 9000 B, every line written and read", "frame size, B", "size",
         {"payload": "dirty", "burst": 32, "flows": 1, "ports": 1}),
        ("switch-size-clean.svg", "64 B to 9000 B, payload untouched", "frame size, B", "size",
         {"payload": "clean", "burst": 32, "flows": 1, "ports": 1}),
        ("switch-burst.svg", "64 B frames by burst", "frames in a burst", "burst",
         {"payload": "dirty", "size": 64, "flows": 1, "ports": 1}),
        ("switch-ports.svg", "64 B frames by ports at each end", "ports at each end", "ports",
         {"payload": "dirty", "size": 64, "flows": 1, "burst": 32}),
    ]
    written = {}
    for name, title, axis, column, fixed in wanted:
        lines: dict[str, list[tuple[float, dict[str, float]]]] = {}
        for row in found["results"]:
            if row["state"] == found["machine"]["state"] and all(row[key] == value for key, value in fixed.items()):
                lines.setdefault(row["system"], []).append((row[column], row["mpps"]))
        if name == "switch-size-dirty.svg" and found["limit_mpps"]:
            lines["limit"] = [(int(size), {"median": value, "min": value, "max": value})
                              for size, value in found["limit_mpps"].items()]
        if max((len(points) for points in lines.values()), default=0) < 2:
            continue
        (folder / name).write_text(_svg(title, axis, {key: sorted(value, key=lambda p: p[0]) for key, value in lines.items()}))
        written[title] = name
    return written


def _svg(title: str, axis: str, lines: dict[str, list[tuple[float, dict[str, float]]]]) -> str:
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = [value for points in lines.values() for _, spread in points for value in spread.values() if value > 0]
    low, high = math.floor(math.log10(min(ys))), math.log10(max(ys) * 1.25)
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(x: float) -> float:
        return _LEFT + plot_width * (math.log2(x / xs[0]) / math.log2(xs[-1] / xs[0]))

    def up(y: float) -> float:
        return _TOP + plot_height * (1 - (math.log10(max(y, 10.0**low)) - low) / (high - low))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
           f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
           f'<text x="{_LEFT}" y="40" fill="#444">million frames a second; bars: least and most</text>']
    for decade in range(low, math.ceil(high) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**decade
            if low <= math.log10(value) <= high:
                out.append(f'<line x1="{_LEFT}" x2="{_LEFT + plot_width}" y1="{up(value):.1f}" y2="{up(value):.1f}" '
                           f'stroke="{"#bbb" if step == 1 else "#e6e6e6"}"/>')
                out.append(f'<text x="{_LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for x in xs:
        out.append(f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{_TOP + plot_height}" y2="{_TOP + plot_height + 5}" stroke="#444"/>')
        out.append(f'<text x="{across(x):.1f}" y="{_TOP + plot_height + 20}" text-anchor="middle">{x:g}</text>')
    out.append(f'<text x="{_LEFT + plot_width / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(axis)}</text>')
    out.append(f'<rect x="{_LEFT}" y="{_TOP}" width="{plot_width}" height="{plot_height}" fill="none" stroke="#444"/>')

    names = [name for name in (*SYSTEMS, "limit") if name in lines]
    labels = _apart({name: up(lines[name][-1][1]["median"]) for name in names})
    for name in names:
        colour = _COLOURS[name]
        wide = 3 if name == "rvif" else 1.8
        dashes = ' stroke-dasharray="5 4"' if name == "limit" else ""
        path = " ".join(f"{across(x):.1f},{up(spread['median']):.1f}" for x, spread in lines[name])
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"{dashes}/>')
        for x, spread in lines[name]:
            out.append(f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{up(spread["min"]):.1f}" y2="{up(spread["max"]):.1f}" '
                       f'stroke="{colour}" stroke-width="1.2"/>')
            out.append(f'<circle cx="{across(x):.1f}" cy="{up(spread["median"]):.1f}" r="2.6" fill="{colour}"/>')
        end = across(lines[name][-1][0])
        out.append(f'<line x1="{end + 4:.1f}" y1="{up(lines[name][-1][1]["median"]):.1f}" x2="{_LEFT + plot_width + 12}" '
                   f'y2="{labels[name]:.1f}" stroke="{colour}" stroke-width="0.7" opacity="0.6"/>')
        out.append(f'<text x="{_LEFT + plot_width + 15}" y="{labels[name] + 4:.1f}" fill="{colour}" '
                   f'font-weight="{"bold" if name == "rvif" else "normal"}">{name}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def _apart(wanted: dict[str, float], distance: float = 15) -> dict[str, float]:
    """Labels where their lines end, but not over each other."""
    placed: dict[str, float] = {}
    last = -distance
    for name, y in sorted(wanted.items(), key=lambda item: item[1]):
        last = placed[name] = max(y, last + distance)
    overrun = max(0.0, last - (_HEIGHT - _BOTTOM))
    return {name: y - overrun for name, y in placed.items()}
