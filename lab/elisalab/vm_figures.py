# SPDX-License-Identifier: Apache-2.0
"""Figures of `bench vm`, made of what the two ends of each scenario reported and of KVM's counters.

The program in the guests (bench/traffic/play.hpp) reports, load by load, frames and TSC ticks. In the lab one tick is one
instruction of each emulated CPU, so a frame costs the whole machine's instructions, whoever they were for; on hardware a
tick is time. Around the measured part each end prints a mark, where KVM's counters are read.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

from .figures import aligned
from .log import LabError
from .repeats import fold

# By system: two guests under every load, then more guests.
SCENARIOS = {"rvif": ("bench-vm-rvif", "bench-vm-rvif-4", "bench-vm-rvif-8"), "direct": ("bench-vm-direct",),
             "vmcall": ("bench-vm-vmcall",), "vhost-net": ("bench-vm-vhost-net", "bench-vm-vhost-net-4"),
             "qemu": ("bench-vm-qemu",)}
_FIGURES = ("instructions_per_frame", "ns_per_frame", "frames_per_s", "exits_per_frame")


def results(system: str, scenario: dict[str, Any], result: dict[str, Any], hardware: bool = False) -> list[dict[str, Any]]:
    """One row for each load, whose repetitions are folded."""
    sources, sinks = _ends(result, "source"), _ends(result, "sink")
    if len(sources) != len(sinks):
        raise LabError(f"{scenario['name']}: {len(sources)} senders and {len(sinks)} receivers report")
    loads = {len(end["cases"]) for end in sources + sinks}
    if len(loads) != 1:
        raise LabError(f"{scenario['name']}: the senders report {len(sources[0]['cases'])} loads and the receivers "
                       f"{len(sinks[0]['cases'])}")
    rows = [_row(system, scenario, result, number, sources, sinks, hardware) for number in range(loads.pop())]
    return fold(rows, ("system", "guests", "size", "burst"), _FIGURES)


def _row(system: str, scenario: dict[str, Any], result: dict[str, Any], number: int, sources: list[dict[str, Any]],
         sinks: list[dict[str, Any]], hardware: bool) -> dict[str, Any]:
    sent = [end["cases"][number] for end in sources]
    received = [end["cases"][number] for end in sinks]
    if not all(case["frames"] for case in received):
        raise LabError(f"{scenario['name']}: no frame of load {number} arrived")
    # Each pair has windows of its own, and the sender's may differ a little from the receiver's: so rates, a tick.
    arrived = sum(_rate(case, "frames") for case in received)
    row: dict[str, Any] = {"system": system, "guests": len(sent) + len(received), "size": received[0]["size"],
                           "burst": received[0]["burst"]}
    if hardware:
        rates = [_rate(case, "frames") * end["tsc_hz"] for end, case in zip(sinks, received)]
        row |= {"ns_per_frame": round(mean(1e9 / rate for rate in rates), 1), "frames_per_s": round(sum(rates))}
    else:
        # A CPU's idle ticks are instructions of that CPU alone.
        idle = sum(_rate(case, "idle_ticks") for case in sent + received)
        row |= {"instructions_per_frame": round(scenario["host_cpus"] / arrived, 1),
                "idle_instructions_per_frame": round(idle / arrived, 1)}
    return {**row, "exits_per_frame": round(_exits_of_all(result, number, sources, sinks) / arrived, 4),
            "frames": sum(case["frames"] for case in received),
            "sent_but_dropped": round(max(0.0, 1 - arrived / sum(_rate(case, "frames") for case in sent)), 3)}


def _rate(case: dict[str, Any], what: str) -> float:
    return float(case[what] / max(1, case["ticks"]))


def _ends(result: dict[str, Any], end: str) -> list[dict[str, Any]]:
    """Of each pair: which VM it is in, its cases, its TSC's rate."""
    found = []
    for vm in sorted(result["vms"]):
        reports = [report for report in result["vms"][vm]["results"] if isinstance(report, dict) and f"{end}_cases" in report]
        for report in reports:
            if report["wrong"]:
                raise LabError(f"{report['wrong']} frames did not arrive as they were sent")
        if reports:
            cases = [case for report in reports for case in report[f"{end}_cases"]]
            found.append({"vm": vm, "cases": cases, "tsc_hz": reports[0].get("tsc_hz")})
    if not found:
        raise LabError(f"the {end} reported nothing")
    return found


def _exits_of_all(result: dict[str, Any], number: int, sources: list[dict[str, Any]], sinks: list[dict[str, Any]]) -> float:
    """VM exits for each tick while load `number` was played. Two processes of one VM print the same marks."""
    by_vm = {end["vm"]: end for end in sinks + sources}
    return sum(_exits(result, vm, number) / max(1, end["cases"][number]["marked_ticks"]) for vm, end in by_vm.items())


def _exits(result: dict[str, Any], end: str, number: int) -> int:
    counters = result["vms"][end]["kvm"]
    try:
        begin, after = (counters[f"case-{number}-{what}"] for what in ("begin", "end"))
    except KeyError as mark:
        raise LabError(f"KVM's counters of {end} were not read at {mark}") from None
    return int(after.get("exits", 0)) - int(begin.get("exits", 0))


def table(rows: list[dict[str, Any]], cpus: int) -> str:
    if rows and "ns_per_frame" in rows[0]:
        shown = [("system", "guests", "size", "burst", "ns", "frames/s of all", "VM exits", "dropped")]
        shown += [(row["system"], str(row["guests"]), f"{row['size']} B", str(row["burst"]), f"{row['ns_per_frame']:.1f}",
                   f"{row['frames_per_s']:,.0f}", f"{row['exits_per_frame']:.3f}", f"{row['sent_but_dropped']:.1%}") for row in rows]
        return "\n".join(["for each delivered frame:", "", *aligned(shown)])
    shown = [("system", "guests", "size", "burst", "instructions", "from", "to", "of them polling in vain", "VM exits", "dropped")]
    shown += [(row["system"], str(row["guests"]), f"{row['size']} B", str(row["burst"]), f"{row['instructions_per_frame']:.0f}",
               *(f"{end:.0f}" for end in row["instructions_per_frame_range"]), f"{row['idle_instructions_per_frame']:.0f}",
               f"{row['exits_per_frame']:.3f}", f"{row['sent_but_dropped']:.1%}") for row in rows]
    return "\n".join([f"for each delivered frame, over the whole emulated machine ({cpus} CPU{'s' if cpus > 1 else ''}):", "",
                      *aligned(shown), "", *_verdicts(rows)])


def _verdicts(rows: list[dict[str, Any]]) -> list[str]:
    def find(system: str) -> dict[str, Any] | None:
        return next((row for row in rows
                     if (row["system"], row["guests"], row["size"], row["burst"]) == (system, 2, 64, 32)), None)

    ours, vhost = find("rvif"), find("vhost-net")
    if ours is None:
        return []
    targets = [("instructions a frame, 64 B, burst 32", 250.0, ours["instructions_per_frame"]),
               ("VM exits a frame, 64 B, burst 32", 0.02, ours["exits_per_frame"])]
    if vhost is not None:
        targets.append(("instructions a frame / vhost-net's", 0.5, ours["instructions_per_frame"] / vhost["instructions_per_frame"]))
        targets.append(("the same without polling in vain", 0.5, _busy(ours) / _busy(vhost)))
    return [f"{what}: {got:.3g}, wanted at most {most:g}: {'reached' if got <= most else 'missed'}" for what, most, got in targets]


def _busy(row: dict[str, Any]) -> float:
    return float(row["instructions_per_frame"] - row["idle_instructions_per_frame"])
