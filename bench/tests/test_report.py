# SPDX-License-Identifier: Apache-2.0
"""What is said about figures: the JSON's shape, and verdicts that can go either way."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from switchbench import cases, plot, report  # noqa: E402
from switchbench.cases import MANY_FLOWS, Case  # noqa: E402
from switchbench.measure import Measured, Sample, Shape  # noqa: E402
from switchbench.systems import SYSTEMS  # noqa: E402


def measured(rvif: float, memif: float, zero_copy: float) -> Measured:
    found = Measured()
    for system, value in (("rvif", rvif), ("memif", memif), ("memif-zc", zero_copy)):
        for case in (Case(), Case(size=1518), Case(**MANY_FLOWS)):
            found.mpps[(system, Shape(), case)] = Sample([value * 0.9, value, value * 1.1])
        found.rtt[system] = {key: Sample([1000 / value]) for key in ("p50", "p99", "p999")}
    found.limit = {64: Sample([100.0])}
    return found


def verdicts(found: Measured) -> dict[str, bool | None]:
    return {target.what: target.reached for target in report.acceptance(found)}


class ReportTest(unittest.TestCase):
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
            self.assertEqual({"system", "size", "payload", "burst", "ports", "flows", "mpps"}, row.keys())
            self.assertEqual({"median", "min", "max"}, row["mpps"].keys())
        self.assertEqual({"system", "p50", "p99", "p999"}, found["rtt_ns"][0].keys())
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
