# SPDX-License-Identifier: Apache-2.0
"""From what was measured to JSON, to a Markdown page, and to a verdict on each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .cases import BURSTS, MANY_FLOWS, MOST_PORTS, PORTS, SHALLOW, SIZES, Case
from .measure import Measured, Sample, Shape, median
from .systems import SYSTEMS

# Systems whose switch is a process of its own have one CPU for it and one for both ends.
_SHARED_ENDS = ("vhost-switch", "ovs-dpdk")


def _spread(sample: Sample, digits: int = 3) -> dict[str, float]:
    return {"median": round(median(sample), digits), "min": round(min(sample.values), digits),
            "max": round(max(sample.values), digits)}


def as_json(measured: Measured, machine: dict[str, Any]) -> dict[str, Any]:
    results, scaling = [], []
    for (system, shape, case), sample in measured.mpps.items():
        if not sample.values:
            continue
        row = {"system": system, "size": case.size, "payload": case.payload, "burst": case.burst, "ports": shape.ports,
               "flows": case.flows, "mpps": _spread(sample)}
        if shape != Shape(shape.ports) or case.flows == case.macs:
            scaling.append({**row, "idle_ports": shape.idle_ports, "descriptors": shape.descriptors, "macs": case.macs})
        else:
            results.append(row)
    return {
        "machine": {**machine, "windows": measured.windows, "windows_repeated": measured.repeated,
                    "windows_disturbed": sum(sample.disturbed for sample in measured.mpps.values()),
                    "left_out": measured.skipped},
        "results": results,
        "rtt_ns": [{"system": system, **{key: round(median(sample)) for key, sample in samples.items()}}
                   for system, samples in measured.rtt.items()],
        "limit_mpps": {str(size): round(median(sample), 3) for size, sample in measured.limit.items()},
        "scaling": scaling,
        "acceptance": [vars(target) for target in acceptance(measured)],
    }


# --- targets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    what: str
    wanted: str
    got: float | None  # None: not measured
    reached: bool | None


def acceptance(measured: Measured) -> list[Target]:
    def mpps(system: str, case: Case, shape: Shape = Shape()) -> float | None:
        sample = measured.mpps.get((system, shape, case))
        return median(sample) if sample is not None and sample.values else None

    def best(case: Case, *systems: str) -> float | None:
        found = [value for system in systems if (value := mpps(system, case)) is not None]
        return max(found, default=None)

    def at_least(what: str, factor: float, above: float | None, below: float | None) -> Target:
        ratio = above / below if above is not None and below else None
        return Target(what, f">= {factor:g}", _short(ratio), None if ratio is None else ratio >= factor)

    def at_most(what: str, factor: float, above: float | None, below: float | None) -> Target:
        ratio = above / below if above is not None and below else None
        return Target(what, f"<= {factor:g}", _short(ratio), None if ratio is None else ratio <= factor)

    small, half, full, many = Case(), Case(size=512), Case(size=1518), Case(**MANY_FLOWS)
    memifs = ("memif", "memif-zc")
    ours = {case: mpps("rvif", case) for case in (small, half, full, many)}
    rtt = {system: median(samples["p50"]) for system, samples in measured.rtt.items()}
    peers_rtt = [value for system, value in rtt.items() if system != "rvif"]

    def limit(size: int) -> float | None:
        return median(measured.limit[size]) if size in measured.limit else None

    macs = {case.macs: mpps("rvif", case) for (system, _, case) in measured.mpps
            if system == "rvif" and case.flows == case.macs}
    crowded = Shape(idle_ports=MOST_PORTS - 2)
    busy_few, busy_many = (mpps("rvif", small, Shape(ports, descriptors=SHALLOW)) for ports in (1, MOST_PORTS // 2))
    return [
        at_least("64 B: rvif / memif's better mode", 1.7, ours[small], best(small, *memifs)),
        at_least("64 B: rvif / vhost point to point", 1.7, ours[small], mpps("vhost", small)),
        at_least("64 B: rvif / testpmd as vhost switch", 3.4, ours[small], mpps("vhost-switch", small)),
        at_least("64 B: rvif / OVS-DPDK", 4, ours[small], mpps("ovs-dpdk", small)),
        at_least("64 B: rvif / Linux bridge", 60, ours[small], mpps("bridge", small)),
        at_least("512 B: rvif / memif's better mode", 1.15, ours[half], best(half, *memifs)),
        at_least("1518 B: rvif / memif's better mode", 1.1, ours[full], best(full, *memifs)),
        at_least("1518 B: rvif / vhost point to point", 1.25, ours[full], mpps("vhost", full)),
        at_least("64 B, 1024 flows, 256 MACs: rvif / memif's better mode", 1.3, ours[many], best(many, *memifs)),
        at_most("round trip p50: rvif / the best other", 0.7, rtt.get("rvif"), min(peers_rtt, default=None)),
        at_least("64 B: share of the single-copy limit (aim)", 0.45, ours[small], limit(64)),
        at_least("1518 B: share of the single-copy limit (aim)", 0.9, ours[full], limit(1518)),
        at_most(f"cost of a frame: {MOST_PORTS} ports, all but 2 idle / 2 ports, one flow", 1.3, ours[small], mpps("rvif", small, crowded)),
        at_most(f"cost of a frame: {MOST_PORTS} ports, all but 2 idle / 2 ports, 1024 flows", 1.3, ours[many], mpps("rvif", many, crowded)),
        at_most(f"cost of a frame: {MOST_PORTS} busy ports / 2 ports", 1.3, busy_few, busy_many),
        at_most("cost of a frame: 4096 MACs / 16 MACs", 1.3, macs.get(16), macs.get(4096)),
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# --- text --------------------------------------------------------------------------------------------------------


def markdown(found: dict[str, Any], plots: dict[str, str]) -> str:
    """A page; `plots` are file names by title."""
    machine = found["machine"]
    lines = ["# Frames between two processes", "",
             f"{machine['cpu']}, two CPUs{', virtual' if machine['virtual'] else ''}; Linux {machine['kernel']}. Medians of "
             "interleaved repetitions, with the least and the most; one direction; frames counted where they arrive.", ""]
    if machine["windows_disturbed"]:
        lines += [f"**{machine['windows_disturbed']} of {machine['windows']} windows were disturbed by other processes "
                  "or machines however often they were repeated: the figures below are too low, and more so for systems "
                  "that need both CPUs at once.**", ""]
    for system, why in machine["left_out"].items():
        lines += [f"Left out: {system} ({why})", ""]
    lines += ["| dirty: every line written at the sender, read at the receiver; clean: untouched | |", "| --- | --- |",
              "| rvif | direct backend, the whole switch in the path, run by the sender |",
              "| memif, memif-zc, vhost | point to point, no switch |",
              "| " + ", ".join(_SHARED_ENDS) + " | the switch has a CPU, both ends share the other in one loop |",
              "| bridge | kernel, veth and af_packet |", ""]
    table = _Table(found["results"])
    lines += table.by("size", SIZES, "Mpps by frame size, dirty, burst 32, one flow", payload="dirty", burst=32, flows=1, ports=1)
    lines += table.by("size", SIZES, "Mpps by frame size, clean, burst 32, one flow", payload="clean", burst=32, flows=1, ports=1)
    lines += table.by("size", SIZES, "Mpps by frame size, dirty, burst 32, 1024 flows over 256 MACs", payload="dirty", burst=32,
                      flows=1024, ports=1)
    lines += table.by("burst", BURSTS, "Mpps by burst, 64 B, dirty, one flow", size=64, payload="dirty", flows=1, ports=1)
    lines += table.by("ports", PORTS, "Mpps by ports at each end, 64 B, dirty, burst 32", size=64, payload="dirty", burst=32, flows=1)
    if found["limit_mpps"]:
        lines += ["## The limit", "", "Payload written, copied once, read; nothing else. Mpps.", "",
                  "| " + " | ".join(f"{size} B" for size in found["limit_mpps"]) + " |",
                  "| " + " | ".join("---" for _ in found["limit_mpps"]) + " |",
                  "| " + " | ".join(f"{value:.2f}" for value in found["limit_mpps"].values()) + " |", ""]
    if found["rtt_ns"]:
        lines += ["## Round trip of one 64 B frame, ns", "", "| system | p50 | p99 | p99.9 |", "| --- | --- | --- | --- |"]
        lines += [f"| {row['system']} | {row['p50']} | {row['p99']} | {row['p999']} |" for row in found["rtt_ns"]] + [""]
    if found["scaling"]:
        lines += ["## rvif: how the cost of a frame grows", "", "64 B, dirty, burst 32; ns a frame.", "",
                  "| busy ports | idle ports | lanes | flows | MACs | Mpps | ns |", "| --- | --- | --- | --- | --- | --- | --- |"]
        lines += [f"| {2 * row['ports']} | {row['idle_ports']} | {row['descriptors']} deep | {row['flows']} | {row['macs']} | "
                  f"{_cell(row['mpps'])} | {1000 / row['mpps']['median']:.1f} |" for row in found["scaling"]] + [""]
    for title, name in plots.items():
        lines += [f"![{title}]({name})", ""]
    lines += ["## Targets", "", *acceptance_table(found["acceptance"], markdown=True), ""]
    return "\n".join(lines)


class _Table:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def by(self, column: str, values: tuple[int, ...], title: str, **fixed: Any) -> list[str]:
        cells = {(row["system"], row[column]): row["mpps"] for row in self._rows
                 if all(row[key] == value for key, value in fixed.items())}
        systems = [name for name in SYSTEMS if any(key[0] == name for key in cells)]
        shown = [value for value in values if any(key[1] == value for key in cells)]
        if len(shown) < 2 or not systems:
            return []
        unit = " B" if column == "size" else ""
        return [f"## {title}", "", "| | " + " | ".join(f"{value}{unit}" for value in shown) + " |",
                "| --- |" + " --- |" * len(shown),
                *(f"| {name} | " + " | ".join(_cell(cells.get((name, value))) for value in shown) + " |" for name in systems), ""]


def _cell(mpps: dict[str, float] | None) -> str:
    if mpps is None:
        return ""
    digits = 1 if mpps["median"] >= 10 else 2
    return f"{mpps['median']:.{digits}f} [{mpps['min']:.{digits}f}..{mpps['max']:.{digits}f}]"


def acceptance_table(targets: list[dict[str, Any]], markdown: bool = False) -> list[str]:
    rows = [("target", "wanted", "got", "")]
    for target in targets:
        verdict = {True: "reached", False: "missed", None: "not measured"}[target["reached"]]
        rows.append((target["what"], target["wanted"], "" if target["got"] is None else f"{target['got']:.2f}", verdict))
    if markdown:
        return [f"| {' | '.join(rows[0])} |", "| --- | --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows[1:])]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
