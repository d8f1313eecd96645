# SPDX-License-Identifier: Apache-2.0
"""What a campaign (many scenarios about one thing) found, from their results."""

from __future__ import annotations

from typing import Any, Iterator

from . import attack, classes


def lifecycle(scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A class for each scenario. Its cases share one verdict: which of them it was that failed is in its logs."""
    heard = classes.Classes()
    for scenario in scenarios:
        outcome = "ordinary" if results[scenario["name"]]["ok"] else "failed"
        heard.add(scenario["name"], scenario["runs"], **{outcome: scenario["runs"]})
    return classes.found(heard.rows(), results, [])


def lifecycle_table(found: dict[str, Any], scenarios: list[dict[str, Any]]) -> str:
    return classes.table(found, {scenario["name"]: scenario["description"] for scenario in scenarios})


def _sweeps(results: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for result in results.values():
        for vm in result["vms"].values():
            yield from (said for said in vm["results"] if isinstance(said, dict) and said.get("probe") == "sweep")


def sweep(_scenarios: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A class for each event, a case for each instruction of the path at which it happened."""
    heard = classes.Classes()
    places: dict[str, int] = {}
    problems: list[str] = []
    for said in _sweeps(results):
        for name, event in said["events"].items():
            heard.add(name, event["cases"], **{key: event.get(key, 0) for key in classes.OUTCOMES})
            places[name] = max(places.get(name, 0), said["places"])
            problems += [f"{name}: {wrong}" for wrong in event["wrong"]]
    rows = heard.rows()
    problems += [f"{row['name']}: only at {row['cases']} of the path's {places[row['name']]} instructions"
                 for row in rows if row["cases"] < places[row["name"]]]
    return {"places": max(places.values(), default=0), **classes.found(rows, results, problems)}


def sweep_table(found: dict[str, Any], _scenarios: list[dict[str, Any]]) -> str:
    return f"instructions of the path: {found['places']}\n\n{classes.table(found)}"


KINDS = {
    "attack": (attack.summary, attack.table),
    "lifecycle": (lifecycle, lifecycle_table),
    "sweep": (sweep, sweep_table),
}


def failed(found: dict[str, Any]) -> bool:
    return bool(found["problems"])
