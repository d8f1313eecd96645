# SPDX-License-Identifier: Apache-2.0
"""`bench vm`: what is made of the reports of two guests."""

from __future__ import annotations

import unittest
from typing import Any

from elisalab import scenario, vm_figures
from elisalab.log import LabError


def result(**changed: Any) -> dict[str, Any]:
    def end(key: str, exits: int, **case: int) -> dict[str, Any]:
        return {
            "results": [{key: [{"size": 64, "burst": 32, **case}], "wrong": changed.get("wrong", 0)}],
            "kvm": {"case-0-begin": {"exits": 100}, "case-0-end": {"exits": 100 + exits}},
        }

    return {"vms": {
        "source": end("source_cases", 10, frames=1100, ticks=200_000, idle_ticks=2_000, marked_ticks=200_000),
        "sink": end("sink_cases", 30, frames=changed.get("frames", 1000), ticks=100_000, idle_ticks=20_000, marked_ticks=100_000),
    }}


class VmFiguresTest(unittest.TestCase):
    def rows(self, **changed: Any) -> list[dict[str, Any]]:
        return vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, result(**changed))

    def test_all_instructions_of_the_machine_are_divided_by_frames_that_arrived(self) -> None:
        (row,) = self.rows()
        self.assertEqual(200.0, row["instructions_per_frame"])
        self.assertEqual(21.0, row["idle_instructions_per_frame"])  # the sender's at the receiver's pace
        self.assertEqual(0.035, row["exits_per_frame"])

    def test_corrupted_frames_and_silence_are_errors(self) -> None:
        for changed in ({"wrong": 1}, {"frames": 0}):
            with self.assertRaises(LabError):
                self.rows(**changed)

    def test_ends_in_one_vm_have_its_exits(self) -> None:
        one = result()
        ends = one["vms"]
        one["vms"] = {"pair": {"results": [*ends["source"]["results"], *ends["sink"]["results"]], "kvm": ends["sink"]["kvm"]}}
        (row,) = vm_figures.results("direct", {"name": "x", "host_cpus": 2}, one)
        self.assertEqual((200.0, 0.015), (row["instructions_per_frame"], row["exits_per_frame"]))

    def test_verdicts_go_either_way(self) -> None:
        ours = self.rows()[0]
        lines = vm_figures.table([ours, {**ours, "system": "vhost-net", "instructions_per_frame": 500.0}], 2)
        self.assertIn("instructions a frame, 64 B, burst 32: 200, wanted at most 250: reached", lines)
        self.assertIn("VM exits a frame, 64 B, burst 32: 0.035, wanted at most 0.02: missed", lines)
        self.assertIn("instructions a frame / vhost-net's: 0.4, wanted at most 0.5: reached", lines)

    def test_every_scenario_is_there_and_plays_the_same_loads(self) -> None:
        loads = set()
        for name in vm_figures.SCENARIOS.values():
            one = scenario.load(name)
            self.assertEqual(2, one["host_cpus"])
            for vm in one["vm"]:
                if "--play" in vm["program"]:
                    loads.add(vm["program"].split("--play")[1].split()[0])
        self.assertEqual(1, len(loads))
