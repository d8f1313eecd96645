# SPDX-License-Identifier: Apache-2.0
"""The demo's figures: every frame accounted for, exits only of what was measured."""

from __future__ import annotations

import unittest

from elisalab import figures
from elisalab.log import LabError


def _flow(**changes: object) -> dict:
    flow = {"from": "a", "to": "b", "size": 64, "sent": 10, "received": 9, "verified": 9, "corrupted": 0,
            "duplicated": 0, "drops": {"rx_no_buffer": 1}}
    return {**flow, **changes}


def _result(flow: dict) -> dict:
    return {"vms": {
        "a": {"results": [{"flows": [flow]}, {"crossings": 4}, {"instructions": 900, "frames": 9}],
              "kvm": {"start": {"exits": 1}, "traffic-begin": {"exits": 100}, "traffic-end": {"exits": 102}}},
        "b": {"results": [{"crossings": 4}], "kvm": {"start": {"exits": 5}}},
    }}


class Demo(unittest.TestCase):
    def test_figures_are_of_the_measured_span(self) -> None:
        found = figures.demo(_result(_flow()), "elisa", "lab")
        self.assertEqual((found["crossings"], found["exits_per_crossing"], found["instructions_per_frame"]),
                         (8, 0.25, 100.0))
        self.assertEqual(figures.demo_problems(found), [])

    def test_a_wrong_flow_is_told(self) -> None:
        for changes, word in (({"corrupted": 1}, "corrupted"), ({"duplicated": 2}, "duplicated"),
                              ({"drops": {}}, "neither arrived"), ({"verified": 8}, "only 8 verified"),
                              ({"received": 0, "verified": 0, "drops": {"x": 10}}, "nothing arrived")):
            with self.subTest(changes):
                problems = figures.demo_problems(figures.demo(_result(_flow(**changes)), "elisa", "lab"))
                self.assertTrue(any(word in problem for problem in problems), problems)

    def test_the_table_has_every_flow(self) -> None:
        table = figures.demo_table(figures.demo(_result(_flow()), "elisa", "lab"))
        self.assertIn("rx_no_buffer 1", table)


class RoundTrip(unittest.TestCase):
    REPORT = {"count": 1000, "tsc_hz": 2_000_000_000, "crossing": {"instructions": 56}, "vmcall": {"instructions": 840},
              "doorbell": {"instructions": 900}, "syscall": {"instructions": 100}}

    def test_exits_are_kvm_s_less_those_of_an_idle_span(self) -> None:
        counters = {"bench-idle": {"exits": 10}, "bench-crossings": {"exits": 20}, "bench-vmcalls": {"exits": 31},
                    "bench-doorbells": {"exits": 131}, "bench-syscalls": {"exits": 331}, "bench-end": {"exits": 331}}
        found = figures.roundtrip({"vms": {"a": {"results": [self.REPORT], "kvm": counters}}})
        self.assertEqual(found, {"crossing": {"instructions": 56, "exits": 0.0},
                                 "vmcall": {"instructions": 840, "exits": 1.0},
                                 "doorbell": {"instructions": 900, "exits": 2.0},
                                 "syscall": {"instructions": 100, "exits": 0.0}})
        self.assertIn("15.0 times", figures.roundtrip_table(found))
        hardware = figures.roundtrip({"vms": {"a": {"results": [self.REPORT], "kvm": counters}}}, hardware=True)
        self.assertEqual(({"ns": 28.0, "exits": 0}, {"ns": 420.0, "exits": 1}), (hardware["crossing"], hardware["vmcall"]))
        self.assertIn("15.0 times the ns", figures.roundtrip_table(hardware))

    def test_vmfuncs_are_those_that_were_recorded(self) -> None:
        self.assertEqual(4, figures.vmfuncs({"vms": {"a": {"results": [{"probe": "sweep", "vmfuncs": 4}]}}}))
        with self.assertRaises(LabError):
            figures.vmfuncs({"vms": {"a": {"results": []}}})

    def test_missing_counters_are_told(self) -> None:
        with self.assertRaises(LabError):
            figures.roundtrip({"vms": {"a": {"results": [self.REPORT], "kvm": {}}}})


if __name__ == "__main__":
    unittest.main()
