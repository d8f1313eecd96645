# SPDX-License-Identifier: Apache-2.0
"""What is said about figures: windows sorted by state, the JSON's shape, and verdicts that can go either way."""

from __future__ import annotations

import sys
import unittest
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from switchbench import cases, plot, report  # noqa: E402
from switchbench.cases import MANY_FLOWS, Case  # noqa: E402
from switchbench.measure import Measured, Shape  # noqa: E402
from switchbench.states import Sample, Window, common_state  # noqa: E402
from switchbench.systems import SYSTEMS  # noqa: E402


NS = {"near": 60, "far": 320}


def sample(state: str, *values: float) -> Sample:
    return Sample([Window(value, NS[state], NS[state]) for value in values])


def measured(rvif: float, memif: float, zero_copy: float, state: str = "near") -> Measured:
    found = Measured()
    add(found, rvif, memif, zero_copy, state)
    found.limit = {64: sample(state, 100.0)}
    return found


def add(found: Measured, rvif: float, memif: float, zero_copy: float, state: str) -> None:
    """Three windows of each, in that state."""
    for system, value in (("rvif", rvif), ("memif", memif), ("memif-zc", zero_copy)):
        for case in (Case(), Case(size=1518), Case(**MANY_FLOWS)):
            windows = found.mpps.setdefault((system, Shape(), case), Sample()).windows
            windows += sample(state, value * 0.9, value, value * 1.1).windows
        for key in ("p50", "p99", "p999"):
            found.rtt.setdefault(system, {}).setdefault(key, Sample()).windows.extend(sample(state, 1000 / value).windows)


def verdicts(found: Measured) -> dict[str, bool | None]:
    return {target.what: target.reached for target in report.acceptance(found)}


class StatesTest(unittest.TestCase):
    def test_a_window_during_which_the_distance_changed_has_no_state_and_no_say(self) -> None:
        found = Sample([Window(1, 60, 58), Window(9, 60, 320), Window(9, 320, 60), Window(5, 310, 330)])
        self.assertEqual([window.state for window in found.windows], ["near", None, None, "far"])
        self.assertEqual((found.values("near"), found.values("far")), ([1], [5]))

    def test_medians_are_of_one_state(self) -> None:
        found = Sample(sample("near", 10, 12, 11).windows + sample("far", 2, 1).windows)
        self.assertEqual((found.median("near"), found.median("far")), (11, 1.5))
        self.assertIsNone(sample("far", 1).median("near"))

    def test_the_common_state_is_the_one_in_which_the_most_was_seen(self) -> None:
        both = Sample(sample("near", 1, 1, 1, 1).windows + sample("far", 2).windows)
        self.assertEqual(common_state([both, sample("far", 1)]), "far")
        self.assertEqual(common_state([both, both]), "near")
        self.assertEqual(common_state([sample("far", 1)]), "far")


class ReportTest(unittest.TestCase):
    def test_systems_are_compared_within_a_state(self) -> None:
        what = "64 B: rvif / memif's better mode"
        found = measured(rvif=20, memif=10, zero_copy=5, state="near")
        add(found, rvif=4, memif=1, zero_copy=2, state="far")
        target = next(target for target in report.acceptance(found) if target.what == what)
        self.assertEqual({state: ratio.got for state, ratio in target.states.items()}, {"near": 2.0, "far": 2.0})
        self.assertEqual(target.states["far"].windows, (3, 3))
        self.assertIs(target.reached, True)

    def test_a_target_is_reached_in_every_state_or_missed(self) -> None:
        what = "64 B: rvif / memif's better mode"
        found = measured(rvif=20, memif=10, zero_copy=5, state="near")
        add(found, rvif=3, memif=1, zero_copy=2, state="far")
        target = next(target for target in report.acceptance(found) if target.what == what)
        self.assertIs(target.reached, False)
        self.assertEqual(target.got, 1.5)
        table = report.acceptance_table([asdict(target)])
        self.assertEqual(table[-1], f"| {what} | >= 1.7 | near 2.00, reached (3, 3); far 1.50, missed (3, 3) | missed |")

    def test_systems_that_never_shared_a_state_are_not_compared(self) -> None:
        found = Measured()
        found.mpps[("rvif", Shape(), Case())] = sample("near", 20)
        found.mpps[("vhost", Shape(), Case())] = sample("far", 1)
        self.assertIs(verdicts(found)["64 B: rvif / vhost point to point"], None)

    def test_the_jsons_rows_are_of_one_state_and_name_it(self) -> None:
        found = measured(rvif=20, memif=10, zero_copy=5, state="near")
        found.mpps[("rvif", Shape(), Case())].windows.extend(sample("far", 1, 1, 1, 1).windows)
        text = report.as_json(found, {})
        self.assertEqual({row["state"] for row in text["results"]}, {"near"})
        row = next(row for row in text["results"] if row["system"] == "rvif" and row["size"] == 64 and row["flows"] == 1)
        self.assertEqual(row["mpps"]["median"], 20)
        self.assertEqual(row["states"]["far"]["windows"], 4)
        self.assertEqual(len(row["windows"]), 7)

    def test_a_target_is_reached_or_missed_or_not_measured(self) -> None:
        what = "64 B: rvif / memif's better mode"
        self.assertIs(verdicts(measured(rvif=17.1, memif=8, zero_copy=10))[what], True)
        self.assertIs(verdicts(measured(rvif=16.9, memif=8, zero_copy=10))[what], False)
        self.assertIs(verdicts(measured(rvif=16.9, memif=8, zero_copy=10))["64 B: rvif / OVS-DPDK"], None)

    def test_round_trips_are_compared_with_the_best(self) -> None:
        what = "round trip p50: rvif / the best other"
        self.assertIs(verdicts(measured(rvif=20, memif=10, zero_copy=5))[what], True)
        self.assertIs(verdicts(measured(rvif=20, memif=18, zero_copy=5))[what], False)

    def test_the_json_has_the_promised_keys(self) -> None:
        found = report.as_json(measured(20, 10, 5), {"cpu": "x"})
        self.assertLessEqual({"machine", "results", "rtt_ns", "limit_mpps"}, found.keys())
        for row in found["results"]:
            self.assertLessEqual({"system", "size", "payload", "burst", "ports", "flows", "mpps"}, row.keys())
            self.assertEqual({"median", "min", "max"}, row["mpps"].keys())
        self.assertLessEqual({"system", "p50", "p99", "p999"}, found["rtt_ns"][0].keys())
        self.assertEqual({"64": 100.0}, found["limit_mpps"])

    def test_every_row_of_a_table_is_a_system_and_plots_are_xml(self) -> None:
        found = report.as_json(measured(20, 10, 5), {"cpu": "x", "virtual": False, "kernel": "6"})
        with TemporaryDirectory() as folder:
            plots = plot.draw(found, Path(folder))
            self.assertIn("switch-size-dirty.svg", plots.values())
            for name in plots.values():
                ElementTree.parse(Path(folder) / name)
            page = report.markdown(found, plots)
        self.assertIn("| rvif | 20.0 [18.0..22.0] |", page)

    def test_every_plan_has_what_the_targets_need(self) -> None:
        for kind in ("quick", "default"):
            plan = cases.plan(kind, list(SYSTEMS))
            for system in SYSTEMS:
                there = {case for session in plan.sessions if session.system == system and Shape.of(session.setup) == Shape()
                         for case in session.cases}
                self.assertLessEqual(set(cases.ACCEPTANCE), there, (kind, system))


if __name__ == "__main__":
    unittest.main()
