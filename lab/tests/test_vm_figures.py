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
            "results": [{key: [{"size": 64, "burst": 32, **case}], "wrong": changed.get("wrong", 0), "tsc_hz": 2_000_000_000}],
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

    def test_loads_may_be_reported_one_by_one(self) -> None:
        whole, split = result(), result()
        for end, cases in (("source", "source_cases"), ("sink", "sink_cases")):
            for each in (whole, split):
                each["vms"][end]["kvm"] |= {"case-1-begin": {"exits": 200}, "case-1-end": {"exits": 230}}
            (report,) = whole["vms"][end]["results"]
            split["vms"][end]["results"].append({**report, cases: [{**report[cases][0], "size": 128}]})
            report[cases].append({**report[cases][0], "size": 128})
        rows = [vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, each) for each in (whole, split)]
        self.assertEqual(2, len(rows[1]))
        self.assertEqual(*rows)

    def test_repetitions_of_a_load_are_folded(self) -> None:
        twice = result()
        for end, cases in (("source", "source_cases"), ("sink", "sink_cases")):
            report = twice["vms"][end]["results"][0]
            report[cases] = [*report[cases], {**report[cases][0], "frames": 500}]
            twice["vms"][end]["kvm"] |= {"case-1-begin": {"exits": 200}, "case-1-end": {"exits": 230}}
        (row,) = vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, twice)
        self.assertEqual((300.0, [200.0, 400.0], 2), (row["instructions_per_frame"], row["instructions_per_frame_range"], row["repetitions"]))

    def test_pairs_at_one_switch_share_the_machine_s_instructions(self) -> None:
        one = result()["vms"]
        pairs = {"vms": {f"{end}{number}": one[end] for end in ("source", "sink") for number in range(2)}}
        (row,) = vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, pairs)
        self.assertEqual((4, 100.0, 21.0, 0.035), (row["guests"], row["instructions_per_frame"], row["idle_instructions_per_frame"],
                                                   row["exits_per_frame"]))
        del pairs["vms"]["sink1"]
        with self.assertRaises(LabError):
            vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, pairs)

    def test_hardware_s_ticks_are_time_of_each_pair_and_not_of_the_machine(self) -> None:
        one = result()["vms"]
        (row,) = vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, {"vms": one}, hardware=True)
        self.assertEqual((50.0, 20_000_000), (row["ns_per_frame"], row["frames_per_s"]))  # 100 ticks a frame at 2 GHz
        self.assertFalse([key for key in row if "instructions" in key])
        pairs = {"vms": {f"{end}{number}": one[end] for end in ("source", "sink") for number in range(2)}}
        (row,) = vm_figures.results("rvif", {"name": "x", "host_cpus": 2}, pairs, hardware=True)
        self.assertEqual((50.0, 40_000_000), (row["ns_per_frame"], row["frames_per_s"]))
        self.assertIn("40,000,000", vm_figures.table([row], 2))

    def test_verdicts_go_either_way(self) -> None:
        ours = self.rows()[0]
        lines = vm_figures.table([ours, {**ours, "system": "vhost-net", "instructions_per_frame": 500.0}], 2)
        self.assertIn("instructions a frame, 64 B, burst 32: 200, wanted at most 250: reached", lines)
        self.assertIn("VM exits a frame, 64 B, burst 32: 0.035, wanted at most 0.02: missed", lines)
        self.assertIn("instructions a frame / vhost-net's: 0.4, wanted at most 0.5: reached", lines)

    def test_every_scenario_is_there_and_plays_the_same_loads(self) -> None:
        loads = set()
        for first, *more in vm_figures.SCENARIOS.values():
            one = scenario.load(first)
            self.assertEqual({2}, {scenario.load(name)["host_cpus"] for name in (first, *more)})
            for vm in one["vm"]:
                if "--play" in vm["program"]:
                    loads.add(vm["program"].split("--play")[1].strip().split("\n")[0])
        self.assertEqual(1, len(loads))
