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
ROUNDTRIP_MARKS = ("bench-idle", "bench-crossings", "bench-vmcalls", "bench-doorbells", "bench-syscalls", "bench-end")


def _reports(result: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    for vm in result["vms"].values():
        for report in vm["results"]:
            if isinstance(report, dict) and key in report:
                yield report


def _exits(result: dict[str, Any]) -> int | None:
    """VM exits of all VMs that marked their traffic, or None if none did."""
    marked = [vm["kvm"] for vm in result["vms"].values() if all(mark in vm["kvm"] for mark in MARKS)]
    return sum(_spans(counters, MARKS)[0] for counters in marked) if marked else None


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
    lines = aligned(rows)
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


def roundtrip(result: dict[str, Any], hardware: bool = False) -> dict[str, Any]:
    """The round-trip bench's JSON: ticks of the TSC as its program measured them, exits as KVM counted them. A tick is an
    instruction in the lab; on hardware it is time.

    The program marks a span in which it only spins, one of `count` crossings that takes as long, and one of
    `count` / 10 of each of the others; the exits of the first are the timer's.
    """
    for vm in result["vms"].values():
        for report in vm["results"]:
            if isinstance(report, dict) and "crossing" in report and "vmcall" in report:
                idle, crossings, *others = _spans(vm["kvm"], ROUNDTRIP_MARKS)
                count = report["count"]

                def cost(name: str) -> dict[str, float]:
                    ticks = report[name]["instructions"]
                    return {"ns": round(1e9 * ticks / report["tsc_hz"], 1)} if hardware else {"instructions": ticks}

                found = {"crossing": {**cost("crossing"), "exits": _short(max(0, crossings - idle) / count)}}
                for name, exits in zip(("vmcall", "doorbell", "syscall"), others):
                    found[name] = {**cost(name), "exits": _short(exits / (count // 10))}
                return found
    raise LabError("the bench's guest reported no round trips")


def vmfuncs(result: dict[str, Any]) -> int:
    """How often a crossing changes its EPT context, as the sweep's elisa.ko saw it, instruction by instruction."""
    for report in _reports(result, "vmfuncs"):
        return int(report["vmfuncs"])
    raise LabError("the way of a crossing was not recorded")


def _short(value: float) -> float:
    """To two places; 0 and 1 as they are."""
    rounded = round(value, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def _spans(counters: dict[str, dict[str, int]], marks: tuple[str, ...]) -> list[int]:
    """Exits between one mark and the next."""
    missing = [mark for mark in marks if mark not in counters]
    if missing:
        raise LabError(f"KVM's counters were not read at {', '.join(missing)}")
    exits = [counters[mark].get("exits", 0) for mark in marks]
    return [after - before for before, after in zip(exits, exits[1:])]


def roundtrip_table(figures: dict[str, Any]) -> str:
    names = {"crossing": "crossing", "vmcall": "VMCALL", "doorbell": "doorbell (IN from elisa.ko's port)",
             "syscall": "empty system call of the guest"}
    unit = "ns" if "ns" in figures["crossing"] else "instructions"
    rows = [("round trip", unit, "VMFUNCs", "VM exits")]
    for key, name in names.items():
        one = figures[key]
        rows.append((name, str(one[unit]), str(one.get("vmfuncs", "-" if key == "crossing" else 0)), str(one["exits"])))
    ratio = figures["vmcall"][unit] / figures["crossing"][unit]
    return "\n".join([*aligned(rows), "", f"VMCALL takes {ratio:.1f} times the {unit} of a crossing"])


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
