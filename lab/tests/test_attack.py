# SPDX-License-Identifier: Apache-2.0
"""The attack suite's report."""

from __future__ import annotations

import unittest
from typing import Any

from elisalab import attack, campaigns, classes, scenario


def case_class(name: str, cases: int, **outcomes: int) -> dict[str, Any]:
    counted = {**dict.fromkeys(classes.OUTCOMES, 0), **outcomes}
    return {"class": name, "cases": cases, **counted}


class Report(unittest.TestCase):
    def summary(self, *reports: dict[str, Any], trouble: tuple[str, ...] = ()) -> dict[str, Any]:
        scenarios = [scenario.load(name) for name in scenario.of_campaign("attack")]
        results = {s["name"]: {"ok": True, "vms": {}} for s in scenarios}
        results["attack"] |= {"vms": {"attacker": {"results": list(reports)}}, "trouble": list(trouble)}
        return attack.summary(scenarios, results)

    def whole(self, **more: int) -> tuple[dict[str, Any], ...]:
        return (case_class("entry: gate", 20_000, refused=20_000 - sum(more.values()), **more),
                case_class("calls: at random", 1_000_000, refused=1_000_000))

    def test_a_whole_campaign_without_failures_is_well(self) -> None:
        found = self.summary(*self.whole(self_harm=3, ordinary=2))
        self.assertEqual(found["problems"], [])
        self.assertFalse(campaigns.failed(found))
        self.assertEqual(found["classes"][0], {"name": "entry: gate", "cases": 20_000, "refused": 19_995, "ordinary": 2,
                                               "self_harm": 3, "failed": 0})

    def test_a_failed_case_is_told(self) -> None:
        self.assertIn("1 cases failed", self.summary(*self.whole(failed=1))["problems"][0])

    def test_a_warning_of_the_host_is_told(self) -> None:
        found = self.summary(*self.whole(), trouble=("WARNING: CPU: 0 at x.c:3",))
        self.assertEqual(found["host_warnings"], 1)
        self.assertIn("x.c:3", found["problems"][0])

    def test_a_part_that_did_not_run_is_told(self) -> None:
        self.assertIn("random", self.summary(self.whole()[0])["problems"][0])

    def test_cases_without_an_outcome_are_told(self) -> None:
        self.assertIn("add up", self.summary(*self.whole(), case_class("x", 2, refused=1))["problems"][0])

    def test_the_table_names_each_class_and_the_caller_s_role(self) -> None:
        shown = attack.table(self.summary(*self.whole()), [])
        self.assertIn("calls: at random (guest)", shown)
        self.assertIn("kernel: 0", shown)
