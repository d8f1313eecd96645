# SPDX-License-Identifier: Apache-2.0
"""Figures of `bench kvs`, made of what each guest's `kvs load` reported and of KVM's counters.

A guest reports, case by case, operations and TSC ticks; all guests of a case are at work all the time, on the host's one CPU,
where one tick is one instruction. So an operation costs a guest's ticks an operation divided by the number of guests:
the whole machine's instructions, whoever they were for. Around each case a guest prints marks, where KVM's counters are read.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

from .figures import aligned, _reports
from .log import LabError

SCENARIOS = {"elisa": "bench-kvs-elisa", "host": "bench-kvs-host", "memcached": "bench-kvs-memcached"}
NAMES = {"elisa": "the store in a sub context", "host": "the store in a host process, by virtio-net and TCP",
         "memcached": "memcached in a host process, by virtio-net and TCP"}


def results(system: str, scenario: dict[str, Any], result: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each case."""
    if scenario["host_cpus"] != 1:
        raise LabError(f"{scenario['name']}: with several CPUs a guest's ticks are not the machine's instructions")
    cases: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for report in _reports(result, "kvs_cases"):
        for case in report["kvs_cases"]:
            cases.setdefault(case["case"], []).append((report["number"], case))
    if not cases:
        raise LabError(f"{scenario['name']}: no guest reported anything")
    return [_row(system, scenario, result, cases[number]) for number in sorted(cases)]


def _row(system: str, scenario: dict[str, Any], result: dict[str, Any], guests: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    first = guests[0][1]
    if len(guests) != first["guests"]:
        raise LabError(f"{scenario['name']}: {len(guests)} of {first['guests']} guests report case {first['case']}")
    missed = sum(case["gets"] - case["hits"] for _, case in guests)
    if missed:
        raise LabError(f"{scenario['name']}: {missed} GETs found nothing, of keys that are there")
    exits = [_exits(result, f"guest{number}", case) / case["marked_operations"] for number, case in guests]
    return {
        "system": system, "guests": len(guests), "get_percent": first["get_percent"],
        "instructions_per_operation": round(mean(case["ticks"] / case["operations"] for _, case in guests) / len(guests)),
        "exits_per_operation": round(mean(exits), 3),
        "operations": sum(case["operations"] for _, case in guests),
    }


def _exits(result: dict[str, Any], vm: str, case: dict[str, Any]) -> int:
    counters = result["vms"][vm]["kvm"]
    try:
        begin, end = (counters[f"case-{case['case']}-{what}"] for what in ("begin", "end"))
    except KeyError as mark:
        raise LabError(f"KVM's counters of {vm} were not read at {mark}") from None
    return int(end.get("exits", 0)) - int(begin.get("exits", 0))


def table(rows: list[dict[str, Any]]) -> str:
    shown = [("system", "guests", "GET/PUT", "instructions", "VM exits", "operations measured")]
    shown += [(NAMES[row["system"]], str(row["guests"]), f"{row['get_percent']}/{100 - row['get_percent']}",
               f"{row['instructions_per_operation']:,}", f"{row['exits_per_operation']:.3f}", f"{row['operations']:,}")
              for row in rows]
    return "\n".join(["for each operation, over the whole emulated machine (1 CPU), values of 100 bytes:", "", *aligned(shown)])
