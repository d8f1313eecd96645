# SPDX-License-Identifier: Apache-2.0
"""The agent's own logic, with host commands only: no VM is needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from elisalab import kernels, scenario

sys.path.insert(0, str(kernels.LAB / "agent"))
from events import Events  # noqa: E402
import initramfs  # noqa: E402
from host import Host  # noqa: E402
from kernel_log import KernelLog, trouble  # noqa: E402
from play import Stage, StepFailed, play  # noqa: E402
from vm import reported  # noqa: E402


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


class WaitingForAVm(unittest.TestCase):
    WAIT = '[[vm]]\nname = "a"\nprogram = "x"\n[[step]]\nwait = "a"\npattern = "well"\ntimeout = 1\n'

    def wait(self, more: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            events = Events(str(Path(folder) / "events"))
            parsed = scenario.parse(self.WAIT + more, "s")
            stage = Stage(parsed, Host(Path(folder), {"loads_modules": False}, events), events, Path(folder))
            stage.vms["a"].lines += ["well", "well"]
            stage.step(parsed["step"][0])
            events.close()

    def test_counts_what_it_has_said(self) -> None:
        self.wait("count = 2\n")
        with self.assertRaisesRegex(StepFailed, "waiting for VM a to say /well/: not within 1 s"):
            self.wait("count = 3\n")

    def test_counts_only_what_it_says_from_now_on_where_it_must_be_fresh(self) -> None:
        with self.assertRaises(StepFailed):
            self.wait("fresh = true\n")


class OutputGathers(unittest.TestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        events = Events(str(Path(folder.name) / "events"))
        self.addCleanup(events.close)
        parsed = scenario.parse('[[step]]\nsleep = 1\n', "s")
        self.stage = Stage(parsed, Host(Path(folder.name), {"loads_modules": False}, events), events, Path(folder.name))
        self.vm = mock.Mock(running=True, silenced=False)
        self.stage.started = [self.vm]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pump(self, seconds: float, said: bool = True, silence: float = 0.0) -> None:
        """There is something to read, `silence` after the last was read."""
        def select(*_: object) -> tuple[list, list, list]:
            self.now += silence
            return ([self.vm] if said else []), [], []

        with mock.patch("play.select.select", select), mock.patch("play.time.sleep", self.sleep), \
                mock.patch("play.time.monotonic", lambda: self.now):
            self.stage.pump(seconds)

    def test_for_long_only_while_more_and_more_comes(self) -> None:
        for silence in (1.0, 0.0, 0.01, 0.1, 0.01, 0.03):
            self.pump(0.2, silence=silence)
        self.assertEqual(self.slept, [0.005, 0.05, 0.05, 0.005, 0.05, 0.005])
        self.assertEqual(self.vm.drain.call_count, 6)

    def test_no_longer_than_there_is_time_and_not_for_nothing(self) -> None:
        self.pump(0.2, said=False)
        self.pump(0.001)
        self.pump(0.01)
        self.assertEqual(self.slept, [0.001, 0.01])


class WaitingForTheEndOfAVm(unittest.TestCase):
    def test_is_no_busy_wait_when_its_output_was_closed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            events = Events(str(Path(folder) / "events"))
            parsed = scenario.parse('[[vm]]\nname = "a"\nprogram = "x"\n[[step]]\nsleep = 1\n', "s")
            stage = Stage(parsed, Host(Path(folder), {"loads_modules": False}, events), events, Path(folder))
            vm = stage.vms["a"]
            vm._process = subprocess.Popen(["sh", "-c", "echo last; exec >&- 2>&-; sleep 30"], stdout=subprocess.PIPE)
            try:
                stage.started = [vm]
                stage.until(lambda: vm.silenced, 10, "its output's end", [])
                self.assertEqual(["last"], vm.lines)
                began = time.monotonic()
                stage.pump(0.3)
                self.assertGreater(time.monotonic() - began, 0.2)
            finally:
                vm._process.kill()
                vm._process.communicate()
            events.close()


class Results(unittest.TestCase):
    def test_a_result_is_read_though_the_guest_s_kernel_spoke_before_the_line_ended(self) -> None:
        self.assertEqual(reported('{"ok": true}NMI: PCI system error (SERR) for reason ff'), {"ok": True})

    def test_what_is_no_json_is_kept_as_such(self) -> None:
        self.assertEqual(reported('{"ok": NMI'), {"unreadable": '{"ok": NMI'})


class KernelTrouble(unittest.TestCase):
    def test_is_recognised(self) -> None:
        bad = ["BUG: unable to handle page fault", "WARNING: CPU: 0 PID: 1 at x.c:3", "Oops: 0000 [#1] SMP",
               "INFO: task qemu:12 blocked for more than 120 seconds", "BUG: Bad page state in process x",
               "BUG: KASAN: use-after-free in f+0x1/0x2 [elisa]", "UBSAN: shift-out-of-bounds in x.c:3:4",
               "WARNING: possible circular locking dependency detected", "INFO: trying to register non-static key.",
               "BUG: sleeping function called from invalid context at x.c:3", "WARNING: suspicious RCU usage",
               "rcu: INFO: rcu_sched self-detected stall on CPU", "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
               "list_del corruption. prev->next should be 1, but was 2", "ODEBUG: free active (active state 0) object",
               "general protection fault, probably for non-canonical address 0x1", "Call Trace:"]
        fine = ["DEBUG: x", "kvm: nested", "elisa: VM a added", "[Firmware Bug]: TSC_DEADLINE disabled",
                "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar", "kasan: KernelAddressSanitizer initialized"]
        self.assertEqual(trouble(bad + fine, []), bad)

    def test_can_be_allowed(self) -> None:
        self.assertEqual(trouble(["WARNING: CPU: 0 at x.c:3"], [r"x\.c:3"]), [])

    def test_lost_lines_are_trouble(self) -> None:
        log = KernelLog()
        read = [line for record in ("4,7,1,-;one\n", "4,8,1,-;two\n", "4,20,1,-;three\n") for line in log._record(record)]
        self.assertEqual(read, ["one", "two", "lab: lines of the kernel's log were lost", "three"])
        self.assertEqual(len(trouble(read, [])), 1)


class KernelTroubleInAScenario(unittest.TestCase):
    """A scenario whose host's log holds one line more at each look."""

    def play(self, text: str, log: list[str]) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events"
            events = Events(str(path))
            host = Host(Path(folder), {"loads_modules": False}, events)
            pending = [[], log]  # nothing before it begins
            host.kernel_lines = lambda: pending.pop(0) if pending else []  # type: ignore[method-assign]
            play(scenario.parse(text + '[[step]]\nsleep = 0.1\n', "s"), host, events)
            events.close()
            lines = [json.loads(line) for line in path.read_text().splitlines()]
        return next(line for line in lines if line["ev"] == "result")

    REPORT = ["before", "BUG: KASAN: use-after-free in f", "Read of size 8 at addr 1", "Freed by task 3:"]

    def test_fails_it_and_shows_the_report(self) -> None:
        failed = self.play("", self.REPORT)
        self.assertFalse(failed["ok"])
        self.assertIn("Freed by task 3:", failed["error"])
        self.assertNotIn("before", failed["error"])

    def test_that_is_expected_passes_it(self) -> None:
        self.assertTrue(self.play('expect_kernel = ["KASAN"]\n', self.REPORT)["ok"])

    def test_that_is_expected_must_come(self) -> None:
        failed = self.play('expect_kernel = ["KASAN", "UBSAN"]\n', self.REPORT)
        self.assertIn("did not: /UBSAN/", failed["error"])

    def test_beside_what_is_expected_fails_it(self) -> None:
        failed = self.play('expect_kernel = ["KASAN"]\n', [*self.REPORT, "UBSAN: x"])
        self.assertIn("UBSAN: x", failed["error"])


class Initramfs(unittest.TestCase):
    NEEDS = {"vmnet": ["vmnet", "images"], "kvs": ["kvs", "images"], "dpdk-testpmd": ["dpdk", "dpdk-testpmd"]}

    def test_has_the_programs_that_are_named_and_no_other(self) -> None:
        for text, expected in (
            ("uname -a", ["base"]),
            ("vmnet --admit a & kvs serve", ["base", "vmnet", "images", "kvs"]),
            ("/elisa/bin/kvs\nexec dpdk-testpmd -- --stats", ["base", "kvs", "images", "dpdk", "dpdk-testpmd"]),
            ("rekvs kvs-bench vmnet.toml", ["base"]),
        ):
            with self.subTest(text):
                self.assertEqual(initramfs.archives(text, self.NEEDS), expected)

    def test_archives_follow_each_other_whole(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "programs.json").write_text(json.dumps(self.NEEDS))
            for archive in ("base", "vmnet", "images"):
                (folder / f"{archive}.cpio").write_text(f"<{archive}>" * 1000)
            initramfs.join(folder, "vmnet", folder / "joined")
            self.assertEqual((folder / "joined").read_text(), "<base>" * 1000 + "<vmnet>" * 1000 + "<images>" * 1000)


if __name__ == "__main__":
    unittest.main()
