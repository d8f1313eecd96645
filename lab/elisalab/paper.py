# SPDX-License-Identifier: Apache-2.0
"""`bench paper`: the tables of the paper's evaluation, as JSON, Markdown and plots, from one run of everything they need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import bars, figures, kvs_figures, provenance, scenario, vm_figures
from .log import LabError

_ROUND_TRIPS = {"crossing": "crossing", "vmcall": "VMCALL", "doorbell": "doorbell (port I/O)", "syscall": "empty system call"}
_WAY = "crossing"  # needs the sweep's elisa.ko, which is for the emulated host alone


@dataclass(frozen=True)
class _Table:
    """Several systems under several loads."""

    title: str
    key: str  # among what was found
    per: str
    plot: str
    systems: dict[str, str]
    heads: tuple[str, ...]  # of what makes a load
    load: Callable[[dict[str, Any]], tuple[str, ...]]
    group: str  # a load in the plot


_SYSTEMS = {"rvif": "ELISA", "direct": "direct mapping", "vmcall": "a VMCALL a burst", "vhost-net": "virtio-net, vhost-net",
            "qemu": "virtio-net, QEMU"}
_NETWORK = _Table(
    "VM to VM networking, a frame", "network", "frame", "paper-network.svg", _SYSTEMS,
    ("frame", "burst"), lambda row: (f"{row['size']} B", str(row["burst"])), "{}, burst {}",
)
_SCALE = _Table(
    "VM to VM networking, pairs of guests at one switch", "scale", "frame", "paper-scale.svg", _SYSTEMS,
    ("guests", "frame", "burst"), lambda row: (str(row["guests"]), f"{row['size']} B", str(row["burst"])), "{} guests: {}, burst {}",
)
_KVS = _Table(
    "Key-value store, an operation", "kvs", "operation", "paper-kvs.svg",
    {"elisa": "ELISA", "direct": "direct mapping", "vmcall": "a VMCALL an operation", "host": "the same store, host process",
     "memcached": "memcached, host process"},
    ("guests", "GET/PUT"), lambda row: (str(row["guests"]), f"{row['get_percent']}/{100 - row['get_percent']}"), "guests: {}, {}",
)
# What each table is made of.
_SCENARIOS = {
    "round_trip": ["roundtrip"], "network": [names[0] for names in vm_figures.SCENARIOS.values()],
    "scale": [name for names in vm_figures.SCENARIOS.values() if len(names) > 1 for name in names],
    "kvs": list(kvs_figures.SCENARIOS.values()),
}


def scenarios(hardware: bool = False) -> list[dict[str, Any]]:
    network = [name for names in vm_figures.SCENARIOS.values() for name in names]
    return [scenario.load(name)
            for name in ("roundtrip", *([] if hardware else [_WAY]), *network, *kvs_figures.SCENARIOS.values())]


def collect(played: dict[str, dict[str, Any]], where: dict[str, str], hardware: bool = False) -> tuple[dict[str, Any], list[str]]:
    """The tables, and why a part of one is missing. `where`: see provenance."""
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
    for system, names in vm_figures.SCENARIOS.items():
        for name in names:
            network += attempt(name, lambda result, s=system, n=name: vm_figures.results(s, scenario.load(n), result, hardware), [])
    stores: list[dict[str, Any]] = []
    for system, name in kvs_figures.SCENARIOS.items():
        stores += attempt(name, lambda result, s=system, n=name: kvs_figures.results(s, scenario.load(n), result, hardware), [])
    trips = attempt("roundtrip", lambda result: figures.roundtrip(result, hardware), None)
    if trips is not None and not hardware:
        trips["crossing"]["vmfuncs"] = attempt(_WAY, figures.vmfuncs, None)
    found = {
        "unit": "ns" if hardware else "instructions", "provenance": where,
        "cpus": {table: provenance.cpus(played, names) for table, names in _SCENARIOS.items()},
        "round_trip": trips, "network": [row for row in network if row["guests"] == 2], "scale": _scale(network), "kvs": stores,
    }
    return found, missing


def _scale(network: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured with more than two guests, and the same load with two."""
    more = {(row["system"], row["size"], row["burst"]) for row in network if row["guests"] > 2}
    rows = [row for row in network if (row["system"], row["size"], row["burst"]) in more]
    return sorted(rows, key=lambda row: int(row["guests"]))


def write(found: dict[str, Any], folder: Path) -> Path:
    """paper.json, paper.md and the plots; returns the Markdown's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paper.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = []
    for section in sections(found).values():
        parts += [f"### {section.title}", section.text]
        for name, drawn in section.plots.items():
            (folder / name).write_text(drawn)
            parts.append(f"![{section.title}]({name})")
    path = folder / "paper.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


@dataclass(frozen=True)
class Section:
    title: str
    text: str  # Markdown: where it was measured, the tables
    brief: str  # the same without what is for a closer look
    plots: dict[str, str]  # by file name


def sections(found: dict[str, Any]) -> dict[str, Section]:
    """What is there to show of each table, by the table's key."""
    made = {"round_trip": _round_trip(found), **{table.key: _costs(table, found) for table in (_NETWORK, _SCALE, _KVS)}}
    return {key: section for key, section in made.items() if section is not None}


def _round_trip(found: dict[str, Any]) -> Section | None:
    one, unit = found["round_trip"], found["unit"]
    if one is None:
        return None
    title = "Round trip"
    rows = [("round trip", unit, "VMFUNCs", "VM exits")]
    rows += [(name, f"{one[key][unit]:,}", _vmfuncs(key, one), str(one[key]["exits"])) for key, name in _ROUND_TRIPS.items()]
    chart = bars.draw(title, _subtitle(found, "round_trip", unit), [(name, {"": one[key][unit]}) for key, name in _ROUND_TRIPS.items()])
    text = "\n\n".join([_where(found, "round_trip"), _markdown(rows)])
    return Section(title, text, text, {"paper-roundtrip.svg": chart})


def _vmfuncs(key: str, trips: dict[str, Any]) -> str:
    count = trips[key].get("vmfuncs")
    return "0" if key != "crossing" else "-" if count is None else str(count)


def _costs(table: _Table, found: dict[str, Any]) -> Section | None:
    """What each system costs under each load."""
    results, unit = found[table.key], found["unit"]
    if not results:
        return None
    cost = f"{unit}_per_{table.per}"
    systems = {system: name for system, name in table.systems.items() if any(row["system"] == system for row in results)}
    loads = list(dict.fromkeys(table.load(row) for row in results))
    by = {(row["system"], table.load(row)): row for row in results}

    def grid(cell: Callable[[dict[str, Any]], str]) -> str:
        rows: list[tuple[str, ...]] = [(*table.heads, *systems.values())]
        rows += [(*load, *(cell(by[system, load]) if (system, load) in by else "-" for system in systems)) for load in loads]
        return _markdown(rows)

    times = sorted({row["repetitions"] for row in results})
    whole = "" if unit == "ns" else " of the whole machine"
    brief = [_where(found, table.key),
             f"{unit.capitalize() if unit != 'ns' else 'ns'}{whole} for each {table.per}: the median of {_each(times)} "
             f"measurements in one run, and their range.",
             grid(lambda row: f"{row[cost]:,.0f} ({_range(row[f'{cost}_range'])})")]
    rate = f"{table.per}s_per_s"
    if unit == "ns":
        brief += [f"{table.per.capitalize()}s a second, of all guests together.", grid(lambda row: f"{row[rate]:,.0f}")]
    brief += [f"VM exits for each {table.per}.", grid(lambda row: f"{row[f'exits_per_{table.per}']:.3f}")]
    more = []
    if table.per == "frame":
        more += ["Frames that were sent and dropped on the way, of all that were sent.",
                 grid(lambda row: f"{row['sent_but_dropped']:.1%}")]
        if unit != "ns":
            more += ["Instructions for each frame that were guests' polling in vain.",
                     grid(lambda row: f"{row['idle_instructions_per_frame']:,.0f}")]
    groups = [(table.group.format(*load), {name: by[system, load][cost] for system, name in systems.items() if (system, load) in by})
              for load in loads]
    chart = bars.draw(table.title, _subtitle(found, table.key, f"{unit}{whole}"), groups)
    return Section(table.title, "\n\n".join(brief + more), "\n\n".join(brief), {table.plot: chart})


def _range(ends: list[float]) -> str:
    return " to ".join(f"{end:,.0f}" for end in ends)


def _each(values: list[int]) -> str:
    return " or ".join(str(value) for value in values)


def _where(found: dict[str, Any], key: str) -> str:
    return provenance.words(found["provenance"], found["cpus"][key])


def _subtitle(found: dict[str, Any], key: str, unit: str) -> list[str]:
    return [f"{unit}, logarithmic", provenance.caption(found["provenance"], found["cpus"][key])]


def _markdown(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(["| " + " | ".join(row) + " |" for row in (rows[0], tuple("---" for _ in rows[0]), *rows[1:])])
