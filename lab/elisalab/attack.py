# SPDX-License-Identifier: Apache-2.0
"""The attack suite's report: what the hostile guests said of their case classes."""

from __future__ import annotations

from typing import Any

from . import classes

# Of the whole campaign: fewer would mean that a part of it silently did not run.
LEAST_ENTRY_CASES = 20_000
LEAST_RANDOM_CALLS = 1_000_000

_ROLES = {"guest": "guest", "manager": "manager", "none": "no role"}


def summary(scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The suite's JSON: a class for each that a VM reported, in the order played."""
    heard = classes.Classes()
    hangs = 0
    for scenario in scenarios:
        for vm in scenario["vm"]:
            seen = results[scenario["name"]]["vms"].get(vm["name"], {})
            hangs += seen.get("hangs", 0)
            for report in seen.get("results", []):
                if not isinstance(report, dict) or "class" not in report:
                    continue
                name = report["class"]
                if name.startswith("calls"):
                    name += f" ({_ROLES[vm['role']]})"
                heard.add(name, report["cases"], **{key: report[key] for key in classes.OUTCOMES})
    rows = heard.rows()
    return {**classes.found(rows, results, _missing(rows)), "hangs": hangs}


def _missing(rows: list[classes.Class]) -> list[str]:
    wrong = []
    for prefix, least in (("entry", LEAST_ENTRY_CASES), ("calls: at random", LEAST_RANDOM_CALLS)):
        played = sum(row["cases"] for row in rows if row["name"].startswith(prefix))
        if played < least:
            wrong.append(f"only {played:,} cases of '{prefix}', of at least {least:,}")
    return wrong


def table(seen: dict[str, Any], _scenarios: list[dict[str, Any]]) -> str:
    return classes.table(seen)
