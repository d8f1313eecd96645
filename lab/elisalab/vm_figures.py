# SPDX-License-Identifier: Apache-2.0
"""Figures of `bench vm`, made of what the two ends of each scenario reported and of KVM's counters.

The program in the guests (bench/traffic/play.hpp) reports, load by load, frames and TSC ticks; one tick is one instruction
of each emulated CPU. Around the measured part each end prints a mark, where KVM's counters are read.
"""

from __future__ import annotations

from typing import Any

from .figures import aligned, _reports
from .log import LabError

SCENARIOS = {"rvif": "bench-vm-rvif", "direct": "bench-vm-direct", "vmcall": "bench-vm-vmcall", "vhost-net": "bench-vm-vhost-net",
             "qemu": "bench-vm-qemu"}


def results(system: str, scenario: dict[str, Any], result: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each load."""
    source = _cases(result, "source")
    sink = _cases(result, "sink")
    if len(source) != len(sink):
        raise LabError(f"{scenario['name']}: the sender reports {len(source)} loads and the receiver {len(sink)}")
    cpus = scenario["host_cpus"]
    rows = []
    for number, (sent, received) in enumerate(zip(source, sink)):
        frames = received["frames"]
        if not frames:
            raise LabError(f"{scenario['name']}: no frame of load {number} arrived")
        ticks = received["ticks"]
        # A CPU's idle ticks are instructions of that CPU alone. The sender's window may differ a little from the receiver's.
        idle = received["idle_ticks"] + sent["idle_ticks"] * ticks / max(1, sent["ticks"])
        exits = _exits_of_all(result, number, sent, received)
        rows.append({
            "system": system, "size": received["size"], "burst": received["burst"],
            "instructions_per_frame": round(cpus * ticks / frames, 1),
            "exits_per_frame": round(exits * ticks / frames, 4),
            "idle_instructions_per_frame": round(idle / frames, 1),
            "frames": frames,
            "sent_but_dropped": round(max(0.0, 1 - frames / max(1.0, sent["frames"] * ticks / max(1, sent["ticks"]))), 3),
        })
    return rows


def _cases(result: dict[str, Any], end: str) -> list[dict[str, Any]]:
    for report in _reports(result, f"{end}_cases"):
        if report["wrong"]:
            raise LabError(f"{report['wrong']} frames did not arrive as they were sent")
        cases: list[dict[str, Any]] = report[f"{end}_cases"]
        return cases
    raise LabError(f"the {end} reported nothing")


def _exits_of_all(result: dict[str, Any], number: int, sent: dict[str, Any], received: dict[str, Any]) -> float:
    """VM exits for each tick while load `number` was played. Two processes of one VM print the same marks."""
    if len(result["vms"]) == 1:
        return _exits(result, *result["vms"], number) / max(1, sent["marked_ticks"])
    return sum(_exits(result, end, number) / max(1, case["marked_ticks"]) for end, case in (("source", sent), ("sink", received)))


def _exits(result: dict[str, Any], end: str, number: int) -> int:
    counters = result["vms"][end]["kvm"]
    try:
        begin, after = (counters[f"case-{number}-{what}"] for what in ("begin", "end"))
    except KeyError as mark:
        raise LabError(f"KVM's counters of {end} were not read at {mark}") from None
    return int(after.get("exits", 0)) - int(begin.get("exits", 0))


def table(rows: list[dict[str, Any]], cpus: int) -> str:
    shown = [("system", "size", "burst", "instructions", "of them polling in vain", "VM exits", "dropped")]
    shown += [(row["system"], f"{row['size']} B", str(row["burst"]), f"{row['instructions_per_frame']:.0f}",
               f"{row['idle_instructions_per_frame']:.0f}", f"{row['exits_per_frame']:.3f}", f"{row['sent_but_dropped']:.1%}")
              for row in rows]
    return "\n".join([f"for each delivered frame, over the whole emulated machine ({cpus} CPU{'s' if cpus > 1 else ''}):", "",
                      *aligned(shown), "", *_verdicts(rows)])


def _verdicts(rows: list[dict[str, Any]]) -> list[str]:
    def find(system: str) -> dict[str, Any] | None:
        return next((row for row in rows if row["system"] == system and row["size"] == 64 and row["burst"] == 32), None)

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
