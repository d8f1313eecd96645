# SPDX-License-Identifier: Apache-2.0
"""A campaign's classes of cases: each case has one outcome, and the outcomes of a class add up to its cases.

Every campaign's JSON is
    {"classes": [{"name", "cases", "refused", "ordinary", "self_harm", "failed"}], "host_warnings", "problems": [text], ...}
What an outcome means to a campaign is said in its README (tests/lab/attack, tests/lab/sweep, lab).
"""

from __future__ import annotations

from typing import Any

from .figures import aligned

OUTCOMES = ("refused", "ordinary", "self_harm", "failed")
_HEADS = ("cases", "refused", "ordinary", "self-harm", "failed")

Class = dict[str, Any]


class Classes:
    """Rows in the order in which they were first heard of."""

    def __init__(self) -> None:
        self._rows: dict[str, Class] = {}

    def add(self, name: str, cases: int, **outcomes: int) -> None:
        row = self._rows.setdefault(name, {"name": name, "cases": 0, **dict.fromkeys(OUTCOMES, 0)})
        row["cases"] += cases
        for outcome, count in outcomes.items():
            row[outcome] += count

    def rows(self) -> list[Class]:
        return list(self._rows.values())


def found(rows: list[Class], results: dict[str, dict[str, Any]], problems: list[str]) -> dict[str, Any]:
    """A campaign's JSON; `problems` are those that only it can know."""
    warnings = [line for result in results.values() for line in result.get("trouble", [])]
    told = [f"{row['name']}: {row['failed']:,} cases failed" for row in rows if row["failed"]]
    told += [f"{row['name']}: outcomes do not add up to its {row['cases']:,} cases"
             for row in rows if row["cases"] != sum(row[key] for key in OUTCOMES)]
    told += [f"{row['name']}: no case was played" for row in rows if not row["cases"]]
    told += problems
    told += [f"{name}: VM {vm} reported what cannot be read: {said['unreadable']}"
             for name, result in results.items() for vm, seen in result["vms"].items()
             for said in seen.get("results", []) if isinstance(said, dict) and "unreadable" in said]
    told += [f"the host's kernel: {line}" for line in warnings]
    told += [f"{name}: {result['error']}" for name, result in results.items() if not result["ok"]]
    return {"classes": rows, "host_warnings": len(warnings), "problems": told}


def table(seen: dict[str, Any], about: dict[str, str] | None = None) -> str:
    """`about`: what a class does, for a last column."""
    last = ("what",) if about else ()
    rows = [("class", *_HEADS, *last)]
    for row in seen["classes"]:
        what = (about[row["name"]],) if about else ()
        rows.append((row["name"], *(f"{row[key]:,}" for key in ("cases", *OUTCOMES)), *what))
    total = [sum(row[key] for row in seen["classes"]) for key in ("cases", *OUTCOMES)]
    rows.append(("all", *(f"{n:,}" for n in total), *("" for _ in last)))
    problems = [f"FAILED: {problem}" for problem in seen["problems"]]
    return "\n".join([*(line.rstrip() for line in aligned(rows)), "",
                      f"warnings of the host's kernel: {seen['host_warnings']}", *problems])
