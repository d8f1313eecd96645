# SPDX-License-Identifier: Apache-2.0
"""`bench paper`: the tables of the paper's evaluation, as JSON, Markdown and plots, from one run of everything they need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import bars, figures, kvs_figures, scenario, vm_figures
from .log import LabError

_ROUND_TRIPS = {"crossing": "crossing", "vmcall": "VMCALL", "doorbell": "doorbell (port I/O)", "syscall": "empty system call"}


@dataclass(frozen=True)
class _Table:
    """Several systems under several loads."""

    title: str
    key: str  # among what was found
    per: str
    plot: str
    systems: dict[str, str]
    heads: tuple[str, str]  # of what makes a load
    load: Callable[[dict[str, Any]], tuple[str, str]]
    group: str  # a load in the plot


_NETWORK = _Table(
    "VM to VM networking, a frame", "network", "frame", "paper-network.svg",
    {"rvif": "ELISA", "direct": "direct mapping", "vmcall": "a VMCALL a burst", "vhost-net": "virtio-net, vhost-net",
     "qemu": "virtio-net, QEMU"},
    ("frame", "burst"), lambda row: (f"{row['size']} B", str(row["burst"])), "{}, burst {}",
)
_KVS = _Table(
    "Key-value store, an operation", "kvs", "operation", "paper-kvs.svg",
    {"elisa": "ELISA", "host": "the same store, host process", "memcached": "memcached, host process"},
    ("guests", "GET/PUT"), lambda row: (str(row["guests"]), f"{row['get_percent']}/{100 - row['get_percent']}"), "guests: {}, {}",
)


def scenarios() -> list[dict[str, Any]]:
    return [scenario.load(name) for name in ("roundtrip", *vm_figures.SCENARIOS.values(), *kvs_figures.SCENARIOS.values())]


def collect(played: dict[str, dict[str, Any]], unit: str) -> tuple[dict[str, Any], list[str]]:
    """The three tables, and why a part of one is missing. `unit`: what a tick of the TSC is there."""
    missing: list[str] = []

    def attempt(name: str, make: Callable[[dict[str, Any]], Any], otherwise: Any) -> Any:
        try:
            if not played[name]["ok"]:
                raise LabError(f"{name} failed")
            return make(played[name])
        except LabError as error:
            missing.append(str(error))
            return otherwise

    network: list[dict[str, Any]] = []
    for system, name in vm_figures.SCENARIOS.items():
        network += attempt(name, lambda result, s=system, n=name: vm_figures.results(s, scenario.load(n), result), [])
    stores: list[dict[str, Any]] = []
    for system, name in kvs_figures.SCENARIOS.items():
        stores += attempt(name, lambda result, s=system, n=name: kvs_figures.results(s, scenario.load(n), result), [])
    return {"unit": unit, "round_trip": attempt("roundtrip", figures.roundtrip, None), "network": network, "kvs": stores}, missing


def write(found: dict[str, Any], where: str, folder: Path) -> Path:
    """paper.json, paper.md and the plots; returns the Markdown's path. `where`: the machine, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paper.json").write_text(json.dumps({"machine": where, **found}, indent=1) + "\n")
    parts = [f"Measured on {where}; {found['unit']} and VM exits."]
    for title, text, chart in (_round_trip(found), _costs(_NETWORK, found), _costs(_KVS, found)):
        if chart is None:
            continue
        name, drawn = chart
        (folder / name).write_text(drawn)
        parts += [f"### {title}", text, f"![{title}]({name})"]
    path = folder / "paper.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


_Part = tuple[str, str, tuple[str, str] | None]


def _round_trip(found: dict[str, Any]) -> _Part:
    title, one = "Round trip", found["round_trip"]
    if one is None:
        return title, "", None
    rows = [("round trip", found["unit"], "VMFUNCs", "VM exits")]
    rows += [(name, f"{one[key]['instructions']:,}", str(one[key].get("vmfuncs", 0)), str(one[key]["exits"]))
             for key, name in _ROUND_TRIPS.items()]
    chart = bars.draw(title, found["unit"], [(name, {"": one[key]["instructions"]}) for key, name in _ROUND_TRIPS.items()])
    return title, _markdown(rows), ("paper-roundtrip.svg", chart)


def _costs(table: _Table, found: dict[str, Any]) -> _Part:
    """What each system costs under each load."""
    results, cost, exits = found[table.key], f"instructions_per_{table.per}", f"exits_per_{table.per}"
    if not results:
        return table.title, "", None
    systems = {system: name for system, name in table.systems.items() if any(row["system"] == system for row in results)}
    loads = list(dict.fromkeys(table.load(row) for row in results))
    by = {(row["system"], table.load(row)): row for row in results}
    rows: list[tuple[str, ...]] = [(*table.heads, *systems.values(), *(f"exits, {name}" for name in systems.values()))]
    for load in loads:
        of = [by.get((system, load)) for system in systems]
        rows.append((*load, *(f"{row[cost]:,.0f}" if row else "-" for row in of),
                     *(f"{row[exits]:.3f}" if row else "-" for row in of)))
    groups = [(table.group.format(*load), {name: by[system, load][cost] for system, name in systems.items() if (system, load) in by})
              for load in loads]
    return table.title, _markdown(rows), (table.plot, bars.draw(table.title, f"{found['unit']}, whole machine", groups))


def _markdown(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(["| " + " | ".join(row) + " |" for row in (rows[0], tuple("---" for _ in rows[0]), *rows[1:])])
