# SPDX-License-Identifier: Apache-2.0
"""The agent's own logic, with host commands only: no VM is needed for it."""

from __future__ import annotations

import json
import sys
import tempfile
import unittest
from pathlib import Path

from elisalab import kernels, scenario

sys.path.insert(0, str(kernels.LAB / "agent"))
from events import Events  # noqa: E402
from host import Host  # noqa: E402
from play import play  # noqa: E402


class Playing(unittest.TestCase):
    def play(self, text: str) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events"
            events = Events(str(path))
            host = Host(Path(folder), {"loads_modules": False}, events)
            play(scenario.parse(text, "s"), host, events)
            events.close()
            lines = [json.loads(line) for line in path.read_text().splitlines()]
        return next(line for line in lines if line["ev"] == "result")

    def test_a_host_command_s_status_counts(self) -> None:
        self.assertTrue(self.play('[[step]]\nrun = "exit 3"\nstatus = 3\n')["ok"])
        failed = self.play('[[step]]\nrun = "echo why; exit 1"\n')
        self.assertFalse(failed["ok"])
        self.assertIn("why", failed["error"])

    def test_a_wait_that_is_not_met_fails_within_its_bound(self) -> None:
        failed = self.play('[[step]]\nrun = "sleep 30"\ntimeout = 1\n')
        self.assertIn("not within 1 s", failed["error"])
        self.assertLess(failed["seconds"], 5)

    def test_the_scenario_s_own_bound_holds(self) -> None:
        failed = self.play('timeout = 1\n[[step]]\nsleep = 1.2\n[[step]]\nrun = "true"\n')
        self.assertIn("bound of 1 s is over", failed["error"])

    def test_output_that_was_expected_must_come(self) -> None:
        failed = self.play('[[step]]\nrun = "echo one"\nexpect = "two"\n')
        self.assertIn("did not print /two/", failed["error"])


class KernelTrouble(unittest.TestCase):
    def test_is_recognised(self) -> None:
        bad = ["BUG: unable to handle page fault", "WARNING: CPU: 0 PID: 1 at x.c:3", "Oops: 0000 [#1] SMP",
               "INFO: task qemu:12 blocked for more than 120 seconds", "BUG: Bad page state in process x"]
        fine = ["DEBUG: x", "kvm: nested", "elisa: VM a added", "[Firmware Bug]: TSC_DEADLINE disabled"]
        self.assertEqual(Host.trouble(bad + fine, []), bad)

    def test_can_be_allowed(self) -> None:
        self.assertEqual(Host.trouble(["WARNING: CPU: 0 at x.c:3"], [r"x\.c:3"]), [])


if __name__ == "__main__":
    unittest.main()
