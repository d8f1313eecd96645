# SPDX-License-Identifier: Apache-2.0
"""From what was measured to JSON, to a Markdown page, and to a verdict on each target."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Callable

from .cases import BURSTS, MANY_FLOWS, MOST_PORTS, PORTS, SHALLOW, SIZES, Case
from .measure import Measured, Shape
from .states import Sample, common_state
from .systems import SYSTEMS

# Systems whose switch is a process of its own have one CPU for it and one for both ends.
_SHARED_ENDS = ("vhost-switch", "ovs-dpdk")


def _spread(values: list[float], digits: int) -> dict[str, float]:
    return {"median": round(statistics.median(values), digits), "min": round(min(values), digits),
            "max": round(max(values), digits)}


def _sample_as_json(sample: Sample, common: str, digits: int = 3) -> dict[str, Any]:
    """What was seen in one state, the same one for all rows where that can be, and then all of it."""
    states = {state: {**_spread(sample.values(state), digits), "windows": sample.count(state)} for state in sample.states()}
    stands_for_all = common if common in states else next(iter(states))
    return {
        "mpps": {key: states[stands_for_all][key] for key in ("median", "min", "max")}, "state": stands_for_all, "states": states,
        "windows": [{"mpps": round(window.value, digits), "state": window.state, "before_ns": window.before_ns,
                     "after_ns": window.after_ns} for window in sample.windows],
    }


def as_json(measured: Measured, machine: dict[str, Any]) -> dict[str, Any]:
    common = common_state(measured.samples())
    results, scaling = [], []
    for (system, shape, case), sample in measured.mpps.items():
        if not sample.states():
            continue
        row = {"system": system, "size": case.size, "payload": case.payload, "burst": case.burst, "ports": shape.ports,
               "flows": case.flows, **_sample_as_json(sample, common)}
        if shape != Shape(shape.ports) or case.flows == case.macs:
            scaling.append({**row, "idle_ports": shape.idle_ports, "descriptors": shape.descriptors, "macs": case.macs})
        else:
            results.append(row)
    limits = {size: _sample_as_json(sample, common) for size, sample in measured.limit.items() if sample.states()}
    return {
        "compare": "within one state of the CPUs only (near, far): take both figures from the rows' 'states'; "
                   "'mpps' is of the row's 'state', a row that was not seen in the common one has another",
        "machine": {**machine, "windows": measured.windows, "windows_repeated": measured.repeated,
                    "windows_disturbed": sum(window.disturbed for sample in measured.samples() for window in sample.windows),
                    "windows_discarded": measured.discarded, "state": common, "states": _distances(measured),
                    "left_out": measured.skipped},
        "results": results,
        "rtt_ns": [_rtt_as_json(system, samples, common) for system, samples in measured.rtt.items() if samples["p50"].states()],
        "limit_mpps": {str(size): row["mpps"]["median"] for size, row in limits.items()},
        "limit_states": {str(size): row["states"] for size, row in limits.items()},
        "scaling": scaling,
        "acceptance": [asdict(target) for target in acceptance(measured)],
    }


def _rtt_as_json(system: str, samples: dict[str, Sample], common: str) -> dict[str, Any]:
    rows = {key: _sample_as_json(sample, common, 0) for key, sample in samples.items()}
    states = {state: {**{key: round(row["states"][state]["median"]) for key, row in rows.items()},
                      "windows": spread["windows"]} for state, spread in rows["p50"]["states"].items()}
    return {"system": system, **{key: round(row["mpps"]["median"]) for key, row in rows.items()},
            "state": rows["p50"]["state"], "states": states}


def _distances(measured: Measured) -> dict[str, Any]:
    found = {}
    for state in measured.states():
        trips = [trip for sample in measured.samples() for window in sample.windows if window.state == state
                 for trip in (window.before_ns, window.after_ns)]
        found[state] = {"round_trip_ns": _spread(trips, 0), "windows": len(trips) // 2}
    return found


# --- targets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """Within one state of the CPUs."""

    got: float
    windows: tuple[int, int]  # above and below the fraction line
    reached: bool


@dataclass(frozen=True)
class Target:
    what: str
    wanted: str
    got: float | None  # the worst state's; None: not measured
    reached: bool | None  # in each state that it was measured in
    states: dict[str, Ratio] = field(default_factory=dict)


# A sample's figure is its median in a state; of several samples the best one stands for all.
_Best = Callable[[list[float]], float]


def acceptance(measured: Measured) -> list[Target]:
    def mpps(system: str, case: Case, shape: Shape = Shape()) -> list[Sample]:
        sample = measured.mpps.get((system, shape, case))
        return [sample] if sample is not None else []

    def memifs(case: Case) -> list[Sample]:
        return mpps("memif", case) + mpps("memif-zc", case)

    def at_least(what: str, factor: float, above: list[Sample], below: list[Sample]) -> Target:
        ratios = _ratios(measured.states(), above, below, max, lambda got: got >= factor)
        return _target(what, f">= {factor:g}", min, ratios)

    def at_most(what: str, factor: float, above: list[Sample], below: list[Sample], best: _Best = max) -> Target:
        ratios = _ratios(measured.states(), above, below, best, lambda got: got <= factor)
        return _target(what, f"<= {factor:g}", max, ratios)

    small, half, full, many = Case(), Case(size=512), Case(size=1518), Case(**MANY_FLOWS)
    rtt = {system: samples["p50"] for system, samples in measured.rtt.items()}
    ours_rtt = [rtt.pop("rvif")] if "rvif" in rtt else []

    def limit(size: int) -> list[Sample]:
        return [measured.limit[size]] if size in measured.limit else []

    def with_macs(count: int) -> list[Sample]:
        return [sample for (system, _, case), sample in measured.mpps.items()
                if system == "rvif" and case.flows == case.macs == count]

    crowded = Shape(idle_ports=MOST_PORTS - 2)
    busy_few, busy_many = (mpps("rvif", small, Shape(ports, descriptors=SHALLOW)) for ports in (1, MOST_PORTS // 2))
    return [
        at_least("64 B: rvif / memif's better mode", 1.7, mpps("rvif", small), memifs(small)),
        at_least("64 B: rvif / vhost point to point", 1.7, mpps("rvif", small), mpps("vhost", small)),
        at_least("64 B: rvif / testpmd as vhost switch", 3.4, mpps("rvif", small), mpps("vhost-switch", small)),
        at_least("64 B: rvif / OVS-DPDK", 4, mpps("rvif", small), mpps("ovs-dpdk", small)),
        at_least("64 B: rvif / Linux bridge", 60, mpps("rvif", small), mpps("bridge", small)),
        at_least("512 B: rvif / memif's better mode", 1.15, mpps("rvif", half), memifs(half)),
        at_least("1518 B: rvif / memif's better mode", 1.1, mpps("rvif", full), memifs(full)),
        at_least("1518 B: rvif / vhost point to point", 1.25, mpps("rvif", full), mpps("vhost", full)),
        at_least("64 B, 1024 flows, 256 MACs: rvif / memif's better mode", 1.3, mpps("rvif", many), memifs(many)),
        at_most("round trip p50: rvif / the best other", 0.7, ours_rtt, list(rtt.values()), min),
        at_least("64 B: share of the single-copy limit (aim)", 0.45, mpps("rvif", small), limit(64)),
        at_least("1518 B: share of the single-copy limit (aim)", 0.9, mpps("rvif", full), limit(1518)),
        at_most(f"cost of a frame: {MOST_PORTS} ports, all but 2 idle / 2 ports, one flow", 1.3,
                mpps("rvif", small), mpps("rvif", small, crowded)),
        at_most(f"cost of a frame: {MOST_PORTS} ports, all but 2 idle / 2 ports, 1024 flows", 1.3,
                mpps("rvif", many), mpps("rvif", many, crowded)),
        at_most(f"cost of a frame: {MOST_PORTS} busy ports / 2 ports", 1.3, busy_few, busy_many),
        at_most("cost of a frame: 4096 MACs / 16 MACs", 1.3, with_macs(16), with_macs(4096)),
    ]


def _target(what: str, wanted: str, worst: Callable[[list[float]], float], ratios: dict[str, Ratio]) -> Target:
    if not ratios:
        return Target(what, wanted, None, None)
    return Target(what, wanted, worst([ratio.got for ratio in ratios.values()]), all(ratio.reached for ratio in ratios.values()), ratios)


def _ratios(states: list[str], above: list[Sample], below: list[Sample], best: _Best,
            reached: Callable[[float], bool]) -> dict[str, Ratio]:
    """In each state in which there is something above and below the line."""
    def best_of(samples: list[Sample], state: str) -> tuple[float, int] | None:
        found = [(value, sample.count(state)) for sample in samples if (value := sample.median(state)) is not None]
        wanted = best([value for value, _ in found]) if found else None
        return next((pair for pair in found if pair[0] == wanted), None)

    ratios = {}
    for state in states:
        over, under = best_of(above, state), best_of(below, state)
        if over is not None and under is not None and under[0] > 0:
            got = round(over[0] / under[0], 3)
            ratios[state] = Ratio(got, (over[1], under[1]), reached(got))
    return ratios


# --- text --------------------------------------------------------------------------------------------------------


def markdown(found: dict[str, Any], plots: dict[str, str]) -> str:
    """A page; `plots` are file names by title."""
    machine = found["machine"]
    lines = ["# Frames between two processes", "",
             f"{machine['cpu']}, two CPUs{', virtual' if machine['virtual'] else ''}; Linux {machine['kernel']}. Medians of "
             "interleaved repetitions, with the least and the most; one direction; frames counted where they arrive.", "",
             *_about_states(machine)]
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
    for state in machine["states"]:
        lines += _figures(found, state)
    for title, name in plots.items():
        lines += [f"![{title}]({name})", ""]
    lines += ["## Targets", "", *acceptance_table(found["acceptance"]), ""]
    return "\n".join(lines)


def _about_states(machine: dict[str, Any]) -> list[str]:
    states = [f"*{state}*, {about['round_trip_ns']['median']:.0f} ns ({about['windows']} windows)"
              for state, about in machine["states"].items()]
    return [f"Round trip of a cache line between the CPUs: {'; '.join(states)}. It was measured before and after each window; "
            f"{machine['windows_discarded']} of {machine['windows']} windows, in which the state changed, are left out. Plots are of "
            f"*{machine['state']}*.", ""]


def _figures(found: dict[str, Any], state: str) -> list[str]:
    """What was seen in one state."""
    table = _Table(found["results"], state)
    lines = table.by("size", SIZES, "Mpps by frame size, dirty, burst 32, one flow", payload="dirty", burst=32, flows=1, ports=1)
    lines += table.by("size", SIZES, "Mpps by frame size, clean, burst 32, one flow", payload="clean", burst=32, flows=1, ports=1)
    lines += table.by("size", SIZES, "Mpps by frame size, dirty, burst 32, 1024 flows over 256 MACs", payload="dirty", burst=32,
                      flows=1024, ports=1)
    lines += table.by("burst", BURSTS, "Mpps by burst, 64 B, dirty, one flow", size=64, payload="dirty", flows=1, ports=1)
    lines += table.by("ports", PORTS, "Mpps by ports at each end, 64 B, dirty, burst 32", size=64, payload="dirty", burst=32, flows=1)
    limits = {size: states[state]["median"] for size, states in found["limit_states"].items() if state in states}
    if limits:
        lines += [f"## The limit, {state}", "", "Payload written, copied once, read; nothing else, the best of several ways of copying. Mpps.", "",
                  "| " + " | ".join(f"{size} B" for size in limits) + " |", "| " + " | ".join("---" for _ in limits) + " |",
                  "| " + " | ".join(f"{value:.2f}" for value in limits.values()) + " |", ""]
    trips = [(row["system"], row["states"][state]) for row in found["rtt_ns"] if state in row["states"]]
    if trips:
        lines += [f"## Round trip of one 64 B frame, ns, {state}", "", "| system | p50 | p99 | p99.9 |", "| --- | --- | --- | --- |"]
        lines += [f"| {system} | {row['p50']} | {row['p99']} | {row['p999']} |" for system, row in trips] + [""]
    scaling = [(row, row["states"][state]) for row in found["scaling"] if state in row["states"]]
    if scaling:
        lines += [f"## rvif: how the cost of a frame grows, {state}", "", "64 B, dirty, burst 32; ns a frame.", "",
                  "| busy ports | idle ports | lanes | flows | MACs | Mpps | ns |", "| --- | --- | --- | --- | --- | --- | --- |"]
        lines += [f"| {2 * row['ports']} | {row['idle_ports']} | {row['descriptors']} deep | {row['flows']} | {row['macs']} | "
                  f"{_cell(mpps)} | {1000 / mpps['median']:.1f} |" for row, mpps in scaling] + [""]
    return lines


class _Table:
    def __init__(self, rows: list[dict[str, Any]], state: str) -> None:
        self._rows = [row for row in rows if state in row["states"]]
        self._state = state

    def by(self, column: str, values: tuple[int, ...], title: str, **fixed: Any) -> list[str]:
        cells = {(row["system"], row[column]): row["states"][self._state] for row in self._rows
                 if all(row[key] == value for key, value in fixed.items())}
        systems = [name for name in SYSTEMS if any(key[0] == name for key in cells)]
        shown = [value for value in values if any(key[1] == value for key in cells)]
        if not shown or (column != "size" and len(shown) < 2):
            return []
        unit = " B" if column == "size" else ""
        return [f"## {title}, {self._state}", "", "| | " + " | ".join(f"{value}{unit}" for value in shown) + " |",
                "| --- |" + " --- |" * len(shown),
                *(f"| {name} | " + " | ".join(_cell(cells.get((name, value))) for value in shown) + " |" for name in systems), ""]


def _cell(mpps: dict[str, float] | None) -> str:
    if mpps is None:
        return ""
    digits = 1 if mpps["median"] >= 10 else 2
    return f"{mpps['median']:.{digits}f} [{mpps['min']:.{digits}f}..{mpps['max']:.{digits}f}]"


def acceptance_table(targets: list[dict[str, Any]]) -> list[str]:
    """got: in each state, with the windows above and below the line."""
    rows = ["| target | wanted | got, by state of the CPUs (windows) | in all states |", "| --- | --- | --- | --- |"]
    verdict_of = {True: "reached", False: "missed", None: "not measured"}
    for target in targets:
        verdict = verdict_of[target["reached"]]
        got = "; ".join(f"{state} {ratio['got']:.2f}, {verdict_of[ratio['reached']]} ({ratio['windows'][0]}, {ratio['windows'][1]})"
                        for state, ratio in target["states"].items())
        rows.append(f"| {target['what']} | {target['wanted']} | {got} | {verdict} |")
    return rows
