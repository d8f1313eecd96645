# SPDX-License-Identifier: Apache-2.0
"""What the tests of stock applications have in common: a bed of their own, and what a flow must be like."""

from __future__ import annotations

import os
import re
import unittest
from pathlib import Path
from typing import Any

from bed import Bed, Process

BUILD = Path(os.environ.get("ELISA_BUILD_DIR", Path(__file__).parents[2] / "build"))
LOGS = BUILD / "logs/direct"

A, B, C = "02:72:76:67:00:01", "02:72:76:67:00:02", "02:72:76:67:00:03"


def xstats(process: Process, port: int = 0) -> dict[str, int]:
    """Of an interactive testpmd."""
    begin, end = f"NIC extended statistics for port {port:<2}\n", "tx_busy_calls: "
    seen = process.output().count(begin)
    process.say(f"show port xstats {port}")
    # Queues' own statistics follow that one; what is behind them is known by the prompt.
    process.until("statistics", lambda: process.output().count(begin) > seen
                  and end in (tail := process.output().rpartition(begin)[2]) and "testpmd>" in tail)
    return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)$", process.output().rpartition(begin)[2], re.MULTILINE)}


class DirectCase(unittest.TestCase):
    def setUp(self) -> None:
        self.bed = Bed(BUILD, LOGS / self.id().rpartition(".")[2])
        self.bed.__enter__()
        self.addCleanup(self.bed.__exit__)

    def config(self, text: str) -> str:
        path = self.bed.folder / "vmnet.toml"
        path.write_text(text)
        return str(path)

    def check_flow(self, flow: dict[str, Any], sent: int) -> None:
        self.assertEqual(sent, flow["sent"], flow)
        self.check_honest(flow)

    def check_honest(self, flow: dict[str, Any]) -> None:
        """Nothing corrupted or doubled, and what is missing is counted somewhere."""
        self.assertEqual(0, flow["corrupted"], flow)
        self.assertEqual(0, flow["duplicated"], flow)
        self.assertEqual(flow["received"], flow["verified"], flow)
        self.assertEqual(flow["sent"], flow["received"] + sum(flow["drops"].values()), flow)

    def ends_well(self, *processes: Process) -> None:
        for process in processes:
            self.assertEqual(0, process.wait(), f"{process.name}:\n{process.tail()}")

    def interactive(self, name: str, vdevs: list[str], *arguments: str, **more: Any) -> Process:
        """A testpmd that listens."""
        process = self.bed.testpmd(name, vdevs, "-i", *arguments, **more)
        process.until_says("testpmd>")
        return process

    def stopped(self, process: Process) -> str:
        """Ends the forwarding of an interactive testpmd; what it says about it."""
        begin = "Telling cores to stop"
        seen = process.output().count(begin)
        process.say("stop")
        process.until("end of the forwarding", lambda: process.output().count(begin) > seen
                      and "Done." in process.output().rpartition(begin)[2])
        return process.output().rpartition(begin)[2]
