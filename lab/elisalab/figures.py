# SPDX-License-Identifier: Apache-2.0
"""Figures of the demo and the benches, made of what programs reported (ELISA-RESULT lines) and KVM counted.

Programs of the demo report any of
    {"flows": [{"from", "to", "size", "sent", "received", "verified", "corrupted", "duplicated", "drops": {...}}]}
    {"crossings": N}                      crossings of this VM between the marks below
    {"instructions": N, "frames": N}      counted by RDTSC around the traffic (one tick, one instruction in the lab)
and print `ELISA-MARK traffic-begin` and `ELISA-MARK traffic-end` around the traffic, where KVM's counters are read.
"""

from __future__ import annotations

from typing import Any, Iterator

from .log import LabError

MARKS = ("traffic-begin", "traffic-end")


def _reports(result: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    for vm in result["vms"].values():
        for report in vm["results"]:
            if isinstance(report, dict) and key in report:
                yield report


def _exits(result: dict[str, Any]) -> int | None:
    """VM exits of all VMs that marked their traffic, or None if none did."""
    spans = [vm["kvm"] for vm in result["vms"].values() if all(mark in vm["kvm"] for mark in MARKS)]
    if not spans:
        return None
    return sum(span[MARKS[1]].get("exits", 0) - span[MARKS[0]].get("exits", 0) for span in spans)


def demo(result: dict[str, Any], backend: str, machine: str) -> dict[str, Any]:
    """The demo's JSON."""
    flows = [flow for report in _reports(result, "flows") for flow in report["flows"]]
    if not flows:
        raise LabError("the demo's guests reported no flows")
    crossings = sum(report["crossings"] for report in _reports(result, "crossings"))
    measured = list(_reports(result, "instructions"))
    frames = sum(report["frames"] for report in measured)
    exits = _exits(result)
    return {
        "backend": backend,
        "machine": machine,
        "flows": flows,
        "crossings": crossings,
        "exits_per_crossing": round(exits / crossings, 4) if exits is not None and crossings else None,
        "instructions_per_frame":
            round(sum(report["instructions"] for report in measured) / frames, 1) if frames else None,
    }


def demo_problems(figures: dict[str, Any]) -> list[str]:
    """What must not be: corrupted, duplicated or unaccounted frames."""
    problems = []
    for flow in figures["flows"]:
        name = f"{flow['from']} -> {flow['to']}, {flow['size']} B"
        for fault in ("corrupted", "duplicated"):
            if flow[fault]:
                problems.append(f"{name}: {flow[fault]} frames {fault}")
        if flow["verified"] != flow["received"]:
            problems.append(f"{name}: {flow['received']} received but only {flow['verified']} verified")
        missing = flow["sent"] - flow["received"] - sum(flow["drops"].values())
        if missing:
            problems.append(f"{name}: {missing} frames neither arrived nor were counted as dropped")
        if not flow["received"]:
            problems.append(f"{name}: nothing arrived")
    return problems


def demo_table(figures: dict[str, Any]) -> str:
    rows = [("from", "to", "size", "sent", "received", "verified", "corrupted", "duplicated", "drops")]
    for flow in figures["flows"]:
        drops = ", ".join(f"{reason} {count}" for reason, count in flow["drops"].items() if count) or "none"
        rows.append((flow["from"], flow["to"], f"{flow['size']} B", f"{flow['sent']:,}", f"{flow['received']:,}",
                     f"{flow['verified']:,}", str(flow["corrupted"]), str(flow["duplicated"]), drops))
    lines = _aligned(rows)
    exits = figures["exits_per_crossing"]
    instructions = figures["instructions_per_frame"]
    lines += [
        "",
        f"backend                       {figures['backend']}, on {figures['machine']}",
        f"crossings                     {figures['crossings']:,}",
        f"VM exits per crossing         {'not measured here' if exits is None else exits}",
        f"instructions per frame        {'not measured here' if instructions is None else instructions}",
    ]
    return "\n".join(lines)


def roundtrip(result: dict[str, Any]) -> dict[str, Any]:
    """The round-trip bench's JSON: as its program reported it."""
    for report in _reports(result, "crossing"):
        if "vmcall" in report:
            return {
                "crossing": {key: report["crossing"][key] for key in ("instructions", "vmfuncs", "exits")},
                "vmcall": {key: report["vmcall"][key] for key in ("instructions", "exits")},
            }
    raise LabError("the bench's guest reported no round trips")


def roundtrip_table(figures: dict[str, Any]) -> str:
    crossing, vmcall = figures["crossing"], figures["vmcall"]
    rows = [
        ("round trip", "instructions", "VMFUNCs", "VM exits"),
        ("crossing", str(crossing["instructions"]), str(crossing["vmfuncs"]), str(crossing["exits"])),
        ("VMCALL", str(vmcall["instructions"]), "0", str(vmcall["exits"])),
    ]
    ratio = vmcall["instructions"] / crossing["instructions"]
    return "\n".join([*_aligned(rows), "", f"VMCALL takes {ratio:.1f} times the instructions of a crossing"])


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
