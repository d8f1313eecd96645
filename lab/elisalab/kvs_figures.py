# SPDX-License-Identifier: Apache-2.0
"""Figures of `bench kvs`, made of what each guest's `kvs load` reported and of KVM's counters.

A guest reports, case by case, operations and TSC ticks; all guests of a case are at work all the time. In the lab they share
the host's one CPU, where one tick is one instruction: so an operation costs a guest's ticks an operation divided by the
number of guests, the whole machine's instructions, whoever they were for. On hardware guests have CPUs of their own, and a
tick is time. Around each case a guest prints marks, where KVM's counters are read.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

from .figures import aligned
from .log import LabError
from .repeats import fold

SCENARIOS = {"elisa": "bench-kvs-elisa", "direct": "bench-kvs-direct", "vmcall": "bench-kvs-vmcall", "host": "bench-kvs-host",
             "memcached": "bench-kvs-memcached"}
NAMES = {"elisa": "the store in a sub context", "direct": "the store in memory that all can write",
         "vmcall": "the same, and a VMCALL before each operation",
         "host": "the store in a host process, by virtio-net and TCP",
         "memcached": "memcached in a host process, by virtio-net and TCP"}
_FIGURES = ("instructions_per_operation", "ns_per_operation", "operations_per_s", "exits_per_operation")


def results(system: str, scenario: dict[str, Any], result: dict[str, Any], hardware: bool = False) -> list[dict[str, Any]]:
    """One row for each load, whose repetitions are folded."""
    if scenario["host_cpus"] != 1 and not hardware:
        raise LabError(f"{scenario['name']}: with several CPUs a guest's ticks are not the machine's instructions")
    cases: dict[int, list[dict[str, Any]]] = {}
    for vm in sorted(result["vms"]):
        for report in result["vms"][vm]["results"]:
            for case in report.get("kvs_cases", []) if isinstance(report, dict) else []:
                cases.setdefault(case["case"], []).append({**case, "vm": vm, "tsc_hz": report.get("tsc_hz")})
    if not cases:
        raise LabError(f"{scenario['name']}: no guest reported anything")
    rows = [_row(system, scenario, result, cases[number], hardware) for number in sorted(cases)]
    return fold(rows, ("system", "guests", "get_percent"), _FIGURES)


def _row(system: str, scenario: dict[str, Any], result: dict[str, Any], guests: list[dict[str, Any]],
         hardware: bool) -> dict[str, Any]:
    first = guests[0]
    if len(guests) != first["guests"]:
        raise LabError(f"{scenario['name']}: {len(guests)} of {first['guests']} guests report case {first['case']}")
    missed = sum(case["gets"] - case["hits"] for case in guests)
    if missed:
        raise LabError(f"{scenario['name']}: {missed} GETs found nothing, of keys that are there")
    each = [case["ticks"] / case["operations"] for case in guests]
    row: dict[str, Any] = {"system": system, "guests": len(guests), "get_percent": first["get_percent"]}
    if hardware:
        seconds = [ticks / case["tsc_hz"] for ticks, case in zip(each, guests)]
        row |= {"ns_per_operation": round(1e9 * mean(seconds), 1), "operations_per_s": round(sum(1 / one for one in seconds))}
    else:
        row |= {"instructions_per_operation": round(mean(each) / len(guests))}
    # Guests that are processes of one VM print the same marks.
    exits = sum(_exits(result, vm, first["case"]) for vm in {case["vm"] for case in guests})
    return {**row, "exits_per_operation": round(exits / sum(case["marked_operations"] for case in guests), 3),
            "operations": sum(case["operations"] for case in guests)}


def _exits(result: dict[str, Any], vm: str, number: int) -> int:
    counters = result["vms"][vm]["kvm"]
    try:
        begin, end = (counters[f"case-{number}-{what}"] for what in ("begin", "end"))
    except KeyError as mark:
        raise LabError(f"KVM's counters of {vm} were not read at {mark}") from None
    return int(end.get("exits", 0)) - int(begin.get("exits", 0))


def table(rows: list[dict[str, Any]]) -> str:
    hardware = bool(rows) and "ns_per_operation" in rows[0]
    heads = ("ns", "operations/s of all") if hardware else ("instructions", "from", "to")
    shown = [("system", "guests", "GET/PUT", *heads, "VM exits", "operations measured")]
    for row in rows:
        figures = ((f"{row['ns_per_operation']:,.1f}", f"{row['operations_per_s']:,.0f}") if hardware else
                   (f"{row['instructions_per_operation']:,.0f}", *(f"{end:,.0f}" for end in row["instructions_per_operation_range"])))
        shown.append((NAMES[row["system"]], str(row["guests"]), f"{row['get_percent']}/{100 - row['get_percent']}", *figures,
                      f"{row['exits_per_operation']:.3f}", f"{row['operations']:,.0f}"))
    where = "" if hardware else ", over the whole emulated machine (1 CPU)"
    return "\n".join([f"for each operation{where}, values of 100 bytes:", "", *aligned(shown)])
