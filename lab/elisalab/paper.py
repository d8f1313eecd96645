# SPDX-License-Identifier: Apache-2.0
"""`bench paper`: the tables of the paper's evaluation, as JSON, Markdown and plots, from one run of everything they need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

from . import bars, figures, kvs_figures, scenario, vm_figures
from .log import LabError

_ROUND_TRIPS = {"crossing": "crossing", "vmcall": "VMCALL", "doorbell": "doorbell (port I/O)", "syscall": "empty system call"}
_SYSTEMS = {"rvif": "ELISA", "direct": "direct mapping", "vhost-net": "virtio-net, vhost-net", "qemu": "virtio-net, QEMU"}
_STORES = {"elisa": "ELISA", "host": "the same store, host process", "memcached": "memcached, host process"}


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
    for title, text, chart in (_round_trip(found), _network(found), _kvs(found)):
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


def _network(found: dict[str, Any]) -> _Part:
    title, results = "VM to VM networking, a frame", found["network"]
    if not results:
        return title, "", None
    systems = [system for system in _SYSTEMS if any(row["system"] == system for row in results)]
    loads = list(dict.fromkeys((row["size"], row["burst"]) for row in results))
    by = {(row["system"], row["size"], row["burst"]): row for row in results}
    rows = [("frame", "burst", *(_SYSTEMS[system] for system in systems), *(f"exits, {_SYSTEMS[system]}" for system in systems))]
    for size, burst in loads:
        of = [by.get((system, size, burst)) for system in systems]
        rows.append((f"{size} B", str(burst),
                     *(f"{row['instructions_per_frame']:,.0f}" if row else "-" for row in of),
                     *("-" if row is None or row["exits_per_frame"] is None else f"{row['exits_per_frame']:.3f}" for row in of)))
    groups = [(f"{size} B, burst {burst}", {_SYSTEMS[system]: by[system, size, burst]["instructions_per_frame"]
                                            for system in systems if (system, size, burst) in by}) for size, burst in loads]
    return title, _markdown(rows), ("paper-network.svg", bars.draw(title, f"{found['unit']}, whole machine", groups))


def _kvs(found: dict[str, Any]) -> _Part:
    title, results = "Key-value store, an operation", found["kvs"]
    if not results:
        return title, "", None
    systems = [system for system in _STORES if any(row["system"] == system for row in results)]
    cases = list(dict.fromkeys((row["guests"], row["get_percent"]) for row in results))
    by = {(row["system"], row["guests"], row["get_percent"]): row for row in results}
    rows = [("guests", "GET/PUT", *(_STORES[system] for system in systems), *(f"exits, {_STORES[system]}" for system in systems))]
    for guests, percent in cases:
        of = [by.get((system, guests, percent)) for system in systems]
        rows.append((str(guests), f"{percent}/{100 - percent}",
                     *(f"{row['instructions_per_operation']:,}" if row else "-" for row in of),
                     *(f"{row['exits_per_operation']:.3f}" if row else "-" for row in of)))
    groups = [(f"{guests} guest{'s' if guests > 1 else ''}, {percent}/{100 - percent}",
               {_STORES[system]: by[system, guests, percent]["instructions_per_operation"]
                for system in systems if (system, guests, percent) in by}) for guests, percent in cases]
    return title, _markdown(rows), ("paper-kvs.svg", bars.draw(title, f"{found['unit']}, whole machine", groups))


def _markdown(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(["| " + " | ".join(row) + " |" for row in (rows[0], tuple("---" for _ in rows[0]), *rows[1:])])
