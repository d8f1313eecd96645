# SPDX-License-Identifier: Apache-2.0
"""The attack suite's report: what the hostile guests said of their case classes, and what the host's kernel said."""

from __future__ import annotations

from typing import Any

from .figures import aligned

OUTCOMES = ("refused", "ordinary", "self_harm", "failed")
# Of the whole campaign: fewer would mean that a part of it silently did not run.
LEAST_ENTRY_CASES = 20_000
LEAST_RANDOM_CALLS = 1_000_000

_ROLES = {"guest": "guest", "manager": "manager", "none": "no role"}


def summary(scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The suite's JSON: a class for each that a VM reported, in the order played."""
    classes: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    hangs = 0
    for scenario in scenarios:
        result = results[scenario["name"]]
        warnings += result.get("trouble", [])
        for vm in scenario["vm"]:
            seen = result["vms"].get(vm["name"], {})
            hangs += seen.get("hangs", 0)
            for report in seen.get("results", []):
                if not isinstance(report, dict) or "class" not in report:
                    continue
                name = report["class"]
                if name.startswith("calls"):
                    name += f" ({_ROLES[vm['role']]})"
                row = classes.setdefault(name, {"name": name, "cases": 0, **dict.fromkeys(OUTCOMES, 0)})
                for key in ("cases", *OUTCOMES):
                    row[key] += report[key]
    found: dict[str, Any] = {"classes": list(classes.values()), "host_warnings": len(warnings), "hangs": hangs}
    found["problems"] = _problems(found) + [f"the host's kernel: {line}" for line in warnings]
    found["problems"] += [f"{name}: {result['error']}" for name, result in results.items() if not result["ok"]]
    return found


def _problems(found: dict[str, Any]) -> list[str]:
    """What must not be."""
    wrong = [f"{row['name']}: {row['failed']} cases failed" for row in found["classes"] if row["failed"]]
    for row in found["classes"]:
        if row["cases"] != sum(row[key] for key in OUTCOMES):
            wrong.append(f"{row['name']}: outcomes do not add up to its {row['cases']} cases")
    for prefix, least in (("entry", LEAST_ENTRY_CASES), ("calls: at random", LEAST_RANDOM_CALLS)):
        played = sum(row["cases"] for row in found["classes"] if row["name"].startswith(prefix))
        if played < least:
            wrong.append(f"only {played:,} cases of '{prefix}', of at least {least:,}")
    return wrong


def table(found: dict[str, Any], _scenarios: list[dict[str, Any]]) -> str:
    rows = [("class", "cases", "refused", "ordinary", "self-harm", "failed")]
    for row in found["classes"]:
        rows.append((row["name"], *(f"{row[key]:,}" for key in ("cases", *OUTCOMES))))
    total = [sum(row[key] for row in found["classes"]) for key in ("cases", *OUTCOMES)]
    rows.append(("all", *(f"{n:,}" for n in total)))
    problems = [f"FAILED: {problem}" for problem in found["problems"]]
    return "\n".join([*aligned(rows), "", f"warnings of the host's kernel: {found['host_warnings']}", *problems])
