# SPDX-License-Identifier: Apache-2.0
"""`bench kvs`: what is made of the reports of several guests."""

from __future__ import annotations

import unittest
from typing import Any

from elisalab import kvs_figures, scenario
from elisalab.log import LabError


def result(guests: int = 2, **changed: int) -> dict[str, Any]:
    def guest(number: int) -> dict[str, Any]:
        case = {"case": 3, "guests": guests, "get_percent": 90, "operations": 100, "gets": 90, "hits": 90,
                "ticks": 400_000, "marked_operations": 200, **changed}
        return {"results": [{"program": "kvs load", "number": number, "tsc_hz": 2_000_000_000, "kvs_cases": [case]}],
                "kvm": {"case-3-begin": {"exits": 5}, "case-3-end": {"exits": 25}}}
    return {"vms": {f"guest{number}": guest(number) for number in range(2)}}


class KvsFiguresTest(unittest.TestCase):
    ONE_CPU = {"name": "x", "host_cpus": 1}

    def test_guests_that_share_a_cpu_share_its_instructions(self) -> None:
        (row,) = kvs_figures.results("elisa", self.ONE_CPU, result())
        self.assertEqual(2000, row["instructions_per_operation"])  # 4000 ticks an operation in each of two guests
        self.assertEqual(0.1, row["exits_per_operation"])  # 20 exits, 200 operations between the marks
        self.assertEqual(200, row["operations"])
        self.assertIn("2,000", kvs_figures.table([row]))

    def test_guests_that_are_processes_of_one_vm_have_its_exits(self) -> None:
        two = result()["vms"]
        one = {"vms": {"guests": {"results": [*two["guest0"]["results"], *two["guest1"]["results"]], "kvm": two["guest0"]["kvm"]}}}
        (row,) = kvs_figures.results("direct", self.ONE_CPU, one)
        self.assertEqual((2000, 0.05), (row["instructions_per_operation"], row["exits_per_operation"]))

    def test_hardware_s_guests_work_at_the_same_time(self) -> None:
        (row,) = kvs_figures.results("elisa", {"name": "x", "host_cpus": 8}, result(), hardware=True)
        self.assertEqual((2000.0, 1_000_000), (row["ns_per_operation"], row["operations_per_s"]))  # 4000 ticks at 2 GHz, twice
        self.assertFalse([key for key in row if "instructions" in key])
        self.assertIn("1,000,000", kvs_figures.table([row]))

    def test_what_cannot_be_a_figure_is_an_error(self) -> None:
        for what, scenario_, found in (("a guest is missing", self.ONE_CPU, result(guests=3)),
                                       ("keys that are there were not found", self.ONE_CPU, result(hits=80)),
                                       ("ticks of several CPUs", {"name": "x", "host_cpus": 2}, result()),
                                       ("nothing at all", self.ONE_CPU, {"vms": {}})):
            with self.subTest(what), self.assertRaises(LabError):
                kvs_figures.results("elisa", scenario_, found)

    def test_every_system_has_the_same_load(self) -> None:
        loads = set()
        for name in kvs_figures.SCENARIOS.values():
            for vm in scenario.load(name)["vm"]:
                if "kvs load" in vm["program"]:
                    loads.add(vm["program"].split("--stages")[1].split("\n")[0].removesuffix("&").strip())
        self.assertEqual({"1,2,4,8 --get 90,50,90,50,90,50"}, loads)


if __name__ == "__main__":
    unittest.main()
