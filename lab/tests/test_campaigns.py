# SPDX-License-Identifier: Apache-2.0
"""A campaign's JSON has its classes, whose outcomes add up; and it fails for what it did not see, too."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from typing import Any

from elisalab import campaigns, classes
from elisalab.report import Report

PLACES = 59


def event(wrong: list[Any] | None = None, **outcomes: int) -> dict[str, Any]:
    return {"cases": sum(outcomes.values()), **outcomes, "wrong": wrong or []}


def said(**events: dict[str, Any]) -> dict[str, Any]:
    return {"probe": "sweep", "places": PLACES, "events": events}


def swept(*reports: dict[str, Any], **more: Any) -> dict[str, Any]:
    result = {"ok": True, "seconds": 1.0, "trouble": [], "vms": {"a": {"results": list(reports)}}, **more}
    return campaigns.sweep([{"name": "s"}], {"s": result})


def lost_host() -> dict[str, Any]:
    """The result of a scenario that its host did not survive."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        report = Report(Path(folder), verbose=False)
        report.lost("s", "the emulated host went down before its job was over; the end of what was said:\npanic")
        return report.results["s"]


class SweepTest(unittest.TestCase):
    def test_events_that_went_well(self) -> None:
        found = swept(said(revoke=event(ordinary=9, refused=PLACES - 9)))
        self.assertFalse(campaigns.failed(found))
        self.assertEqual(found["classes"], [{"name": "revoke", "cases": PLACES, "refused": 50, "ordinary": 9, "self_harm": 0,
                                             "failed": 0}])
        self.assertEqual((found["places"], found["host_warnings"]), (PLACES, 0))

    def test_machines_that_end_at_one_instruction_each_are_one_class(self) -> None:
        found = swept(*(said(kill=event(self_harm=1)) for _ in range(PLACES)))
        self.assertFalse(campaigns.failed(found))
        self.assertEqual(found["classes"][0]["self_harm"], PLACES)

    def test_a_machine_that_lived_on_is_taken_back(self) -> None:
        # As the probe corrects what it had said beforehand.
        reports = [said(kill=event(self_harm=1)) for _ in range(PLACES)]
        found = swept(*reports, said(kill=event(self_harm=-1, failed=1, wrong=[{"place": 58}])))
        self.assertTrue(campaigns.failed(found))
        row = found["classes"][0]
        self.assertEqual((row["cases"], row["self_harm"], row["failed"]), (PLACES, PLACES - 1, 1))

    def test_a_wrong_outcome_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(said(kill=event(ordinary=PLACES - 1, failed=1)))))

    def test_what_is_wrong_beside_the_cases_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(said(nmi=event(ordinary=PLACES, wrong=[{"counter": "NMI:"}])))))

    def test_an_event_that_never_happened_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(said(kill=event(self_harm=PLACES), revoke=event()))))

    def test_an_event_at_some_instructions_only_is_a_failure(self) -> None:
        self.assertIn("only at 15", swept(said(kill=event(self_harm=15)))["problems"][0])

    def test_a_report_that_cannot_be_read_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(said(kill=event(self_harm=PLACES)), {"unreadable": '{"probe": NMI'})))

    def test_cases_without_an_outcome_are_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(said(kill={"cases": PLACES, "self_harm": PLACES - 1, "wrong": []}))))

    def test_a_host_that_went_down_is_a_warning_of_its(self) -> None:
        found = campaigns.sweep([{"name": "s"}], {"s": lost_host()})
        self.assertEqual(found["host_warnings"], 1)
        self.assertTrue(campaigns.failed(found))

    def test_the_table_has_a_row_for_each_event(self) -> None:
        shown = campaigns.sweep_table(swept(said(init=event(self_harm=PLACES))), [])
        self.assertIn("instructions of the path: 59", shown)
        self.assertRegex(shown, r"init +59 +0 +0 +59 +0")


class LifecycleTest(unittest.TestCase):
    scenarios = [{"name": "reboots", "runs": 50, "description": "a guest reboots"},
                 {"name": "takeover", "runs": 1, "description": "the next one takes over"}]

    def lived(self, **worse: dict[str, Any]) -> dict[str, Any]:
        well = {"ok": True, "error": "", "seconds": 1.0, "trouble": [], "vms": {}}
        return campaigns.lifecycle(self.scenarios, {s["name"]: worse.get(s["name"], well) for s in self.scenarios})

    def test_scenarios_that_passed(self) -> None:
        found = self.lived()
        self.assertFalse(campaigns.failed(found))
        self.assertEqual(found["classes"][0], {"name": "reboots", "cases": 50, "refused": 0, "ordinary": 50, "self_harm": 0,
                                               "failed": 0})
        self.assertEqual(found["host_warnings"], 0)

    def test_a_scenario_that_failed(self) -> None:
        found = self.lived(reboots={"ok": False, "error": "round 7", "seconds": 1.0, "trouble": ["WARNING: x"], "vms": {}})
        self.assertTrue(campaigns.failed(found))
        self.assertEqual(found["host_warnings"], 1)
        for row in found["classes"]:
            self.assertEqual(row["cases"], sum(row[key] for key in classes.OUTCOMES))
        self.assertEqual(found["classes"][0]["failed"], 50)

    def test_a_host_that_went_down_is_a_warning_of_its(self) -> None:
        self.assertEqual(self.lived(takeover=lost_host())["host_warnings"], 1)

    def test_the_table_says_what_was_done(self) -> None:
        shown = campaigns.lifecycle_table(self.lived(), self.scenarios)
        self.assertRegex(shown, r"reboots +50 +0 +50 +0 +0 +a guest reboots")


class AttackTest(unittest.TestCase):
    def test_a_host_that_went_down_is_a_warning_of_its(self) -> None:
        found = campaigns.attack.summary([{"name": "s", "vm": [{"name": "a", "role": "guest"}]}], {"s": lost_host()})
        self.assertEqual(found["host_warnings"], 1)


if __name__ == "__main__":
    unittest.main()
