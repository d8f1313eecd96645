# SPDX-License-Identifier: Apache-2.0
"""A mistake in a scenario is told before anything boots, and in words that name it."""

from __future__ import annotations

import unittest

from elisalab import scenario
from elisalab.log import LabError

_VM = '[[vm]]\nname = "a"\nprogram = "true"\n'


class ScenarioMistakes(unittest.TestCase):
    CASES = {
        "unknown key": ("colour = 1\n", "unknown key 'colour'"),
        "wrong type": ('timeout = "long"\n', "'timeout' must be of type int"),
        "unknown module set": ('modules = "other"\n', "'modules' must be one of elisa, stock"),
        "not TOML": ("= 3\n", "scenario s:"),
        "VM without program": ('[[vm]]\nname = "a"\n', "vm 1: no program"),
        "VM name that no shell variable can have": ('[[vm]]\nname = "a-b"\nprogram = "x"\n', "not 'a-b'"),
        "two VMs of one name": (_VM + _VM, "same name"),
        "step without a verb": (_VM + '[[step]]\npattern = "x"\n', "exactly one of"),
        "step with two verbs": (_VM + '[[step]]\nstart = "a"\nkill = "a"\n', "exactly one of"),
        "step that names no VM of ours": (_VM + '[[step]]\nstart = "b"\n', "there is no VM 'b'"),
        "wait without a pattern": (_VM + '[[step]]\nwait = "a"\n', "'wait' needs 'pattern'"),
        "broken pattern": (_VM + '[[step]]\nwait = "a"\npattern = "("\n', "not a regular expression"),
        "key that a step does not know": (_VM + '[[step]]\nstart = "a"\nstatus = 0\n', "'start' does not know 'status'"),
        "more VMs than there can be": ('[[vm]]\nname = "a"\nprogram = "x"\ncount = 65\n', "'count' must be from 1 to 64"),
        "value of the wrong type": (_VM + "[[step]]\nstart = 3\n", "wrong type"),
        "key's value of the wrong type": (_VM + '[[step]]\nwait = "a"\npattern = 3\n', "'pattern' has the wrong type"),
    }

    def test_each_is_named(self) -> None:
        for what, (text, expected) in self.CASES.items():
            with self.subTest(what), self.assertRaises(LabError) as caught:
                scenario.parse(text, "s")
            self.assertIn(expected, str(caught.exception), what)


class Scenarios(unittest.TestCase):
    def test_without_steps_every_vm_is_started_and_must_end_well(self) -> None:
        parsed = scenario.parse(_VM, "s")
        self.assertEqual([next(iter(step)) for step in parsed["step"]], ["start", "wait_exit"])

    def test_vms_that_are_alike_are_written_once(self) -> None:
        vm = '[[vm]]\nname = "a"\ncount = 2\nprogram = "echo {n}"\nqemu = ["-name", "x{n}"]\n'
        parsed = scenario.parse(vm + '[[step]]\nstart = "a"\n[[step]]\nkill = "a1"\n', "s")
        self.assertEqual([(one["name"], one["label"], one["program"], one["qemu"]) for one in parsed["vm"]],
                         [("a0", "a0", "echo 0", ["-name", "x0"]), ("a1", "a1", "echo 1", ["-name", "x1"])])
        self.assertEqual([parsed["step"][0]["start"], parsed["step"][1]["kill"]], [["a0", "a1"], ["a1"]])

    def test_every_wait_is_bounded(self) -> None:
        parsed = scenario.parse(_VM + '[[step]]\nwait = "a"\npattern = "x"\n', "s")
        self.assertGreater(parsed["step"][0]["timeout"], 0)

    def test_those_in_the_tree_are_well_formed(self) -> None:
        for name in scenario.names():
            with self.subTest(name):
                self.assertTrue(scenario.load(name)["description"], "a scenario says what it shows")


class Parts(unittest.TestCase):
    def test_each_scenario_is_in_one_and_none_is_much_longer(self) -> None:
        every = scenario.names("test")
        for parts in (1, 2, 3):
            shares = [scenario.part(every, number, parts) for number in range(1, parts + 1)]
            self.assertEqual(sorted(sum(shares, [])), every)
            times = [sum(scenario.load(name)["timeout"] for name in share) for share in shares]
            self.assertLess(max(times), 1.2 * min(times))


if __name__ == "__main__":
    unittest.main()
