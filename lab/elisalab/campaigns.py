# SPDX-License-Identifier: Apache-2.0
"""What a campaign (many scenarios about one thing) found, from their results."""

from __future__ import annotations

from typing import Any

from . import attack


def _warnings(results: dict[str, dict[str, Any]]) -> int:
    """Lines of the host's kernel log that should not be there. A host that went down left at least one."""
    return sum(len(result.get("trouble", [])) + (result["seconds"] is None) for result in results.values())


def lifecycle(scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    cases = [{"name": s["name"], "runs": s["runs"], "failed": 0 if results[s["name"]]["ok"] else 1} for s in scenarios]
    return {"cases": cases, "host_warnings": _warnings(results)}


def lifecycle_table(found: dict[str, Any], scenarios: list[dict[str, Any]]) -> str:
    about = {s["name"]: s["description"] for s in scenarios}
    rows = [f"{'case':20} {'runs':>5} {'verdict':8} what"]
    for case in found["cases"]:
        verdict = "FAILED" if case["failed"] else "passed"
        rows.append(f"{case['name']:20} {case['runs']:5} {verdict:8} {about[case['name']]}")
    return "\n".join([*rows, f"warnings of the host's kernel: {found['host_warnings']}"])


def sweep(scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Per event: at how many instructions of the path it happened, and where the outcome was not the one allowed."""
    places = 0
    events: dict[str, dict[str, Any]] = {}
    for scenario in scenarios:
        result = results[scenario["name"]]
        seen = [said for vm in result["vms"].values() for said in vm["results"] if said.get("probe") == "sweep"]
        for said in seen:
            places = max(places, said["places"])
            for name, event in said["events"].items():
                row = events.setdefault(name, {"name": name, "cases": 0, "failed": 0})
                row["cases"] += event["happened"]
                row["failed"] += len(event["wrong"])
        if not result["ok"] and not any(event["failed"] for event in events.values()):
            events[scenario["name"]] = {"name": scenario["name"], "cases": 0, "failed": 1}
    for event in events.values():
        event["failed"] += not event["cases"] and not event["failed"]  # it never happened, so nothing was tested
    return {"places": places, "events": list(events.values()), "host_warnings": _warnings(results)}


def sweep_table(found: dict[str, Any], _scenarios: list[dict[str, Any]]) -> str:
    rows = [f"instructions of the path: {found['places']}", f"{'event':20} {'cases':>6} {'failed':>7}"]
    rows += [f"{event['name']:20} {event['cases']:6} {event['failed']:7}" for event in found["events"]]
    return "\n".join([*rows, f"warnings of the host's kernel: {found['host_warnings']}"])


KINDS = {
    "attack": (attack.summary, attack.table),
    "lifecycle": (lifecycle, lifecycle_table),
    "sweep": (sweep, sweep_table),
}


def failed(found: dict[str, Any]) -> bool:
    if found.get("problems"):
        return True
    return found["host_warnings"] != 0 or any(row["failed"] for row in found.get("cases", found.get("events", [])))
