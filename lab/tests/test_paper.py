# SPDX-License-Identifier: Apache-2.0
"""`bench paper`: tables and plots of whatever has been measured."""

from __future__ import annotations

import json
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

from elisalab import paper

WHERE = {"machine": "an emulated host, slowly", "cpu": "Model 7", "host_kernel": "6.1.0-host", "guest_kernel": "6.1.0-guest",
         "commit": "0123456789ab", "date": "2026-01-02 03:04 UTC"}


def _frame(system: str, size: int, cost: float, guests: int = 2, **more: Any) -> dict[str, Any]:
    return {"system": system, "guests": guests, "size": size, "burst": 32, "instructions_per_frame": cost,
            "instructions_per_frame_range": [cost - 10, cost + 20], "idle_instructions_per_frame": 7.0, "exits_per_frame": 0.003,
            "exits_per_frame_range": [0.002, 0.004], "frames": 1000, "sent_but_dropped": 0.125, "repetitions": 3, **more}


FOUND: dict[str, Any] = {
    "unit": "instructions", "provenance": WHERE, "cpus": {"round_trip": "1", "network": "2", "scale": "2", "kvs": "1"},
    "round_trip": {"crossing": {"instructions": 67, "vmfuncs": 4, "exits": 0}, "vmcall": {"instructions": 1187, "exits": 1.01},
                   "doorbell": {"instructions": 1378, "exits": 1}, "syscall": {"instructions": 231, "exits": 0}},
    "network": [_frame("rvif", 64, 400.0), _frame("direct", 64, 380.0), _frame("rvif", 1518, 900.0)],
    "scale": [_frame("rvif", 64, 400.0), _frame("rvif", 64, 500.0, guests=4)],
    "kvs": [{"system": "elisa", "guests": 1, "get_percent": 90, "instructions_per_operation": 1500,
             "instructions_per_operation_range": [1400, 1600], "exits_per_operation": 0.01, "exits_per_operation_range": [0.01, 0.01],
             "operations": 9000, "repetitions": 3}],
}
HARDWARE: dict[str, Any] = {
    "unit": "ns", "provenance": WHERE, "cpus": {"round_trip": "8", "network": "8", "kvs": "8"},
    "round_trip": {name: {"ns": ns, "exits": 0} for name, ns in (("crossing", 196.5), ("vmcall", 699.1), ("doorbell", 900.0), ("syscall", 60.0))},
    "network": [{"system": "rvif", "guests": 2, "size": 64, "burst": 32, "ns_per_frame": 50.0, "ns_per_frame_range": [49.0, 51.0],
                 "frames_per_s": 20_000_000, "exits_per_frame": 0.0, "sent_but_dropped": 0.0, "repetitions": 3}],
    "scale": [], "kvs": [{"system": "elisa", "guests": 2, "get_percent": 50, "ns_per_operation": 300.0, "ns_per_operation_range": [290.0, 310.0],
                          "operations_per_s": 6_600_000, "exits_per_operation": 0.0, "repetitions": 3}],
}


class PaperTest(unittest.TestCase):
    def test_tables_and_plots_are_written(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = paper.write(FOUND, Path(folder))
            text = path.read_text()
            self.assertIn("| VMCALL | 1,187 | 0 | 1.01 |", text)
            self.assertIn("| crossing | 67 | 4 | 0 |", text)
            self.assertIn("| 64 B | 32 | 400 (390 to 420) | 380 (370 to 400) |", text)
            self.assertIn("| 1518 B | 32 | 900 (890 to 920) | - |", text)
            self.assertIn("| 4 | 64 B | 32 | 500 (490 to 520) |", text)
            self.assertIn("| 64 B | 32 | 0.003 | 0.003 |", text)
            self.assertIn("| 64 B | 32 | 12.5% | 12.5% |", text)  # sent but dropped
            self.assertIn("| 1 | 90/10 | 1,500 (1,400 to 1,600) |", text)
            for name in ("paper-roundtrip.svg", "paper-network.svg", "paper-scale.svg", "paper-kvs.svg"):
                self.assertIn(f"({name})", text)
                xml.parse(path.with_name(name))

    def test_what_was_measured_where_stands_beside_each_table_and_plot(self) -> None:
        for section in paper.sections(FOUND).values():
            for word in (WHERE["machine"], WHERE["cpu"], WHERE["host_kernel"], WHERE["guest_kernel"], WHERE["commit"], WHERE["date"]):
                self.assertIn(word, section.text, section.title)
            for name, drawn in section.plots.items():
                for word in ("an emulated host", WHERE["host_kernel"], WHERE["commit"], "2026-01-02"):
                    self.assertIn(word, drawn, name)
        self.assertIn("2 CPUs", paper.sections(FOUND)["network"].text)
        self.assertIn("1 CPU ", paper.sections(FOUND)["kvs"].text)
        with tempfile.TemporaryDirectory() as folder:
            paper.write(FOUND, Path(folder))
            self.assertEqual(WHERE, json.loads(Path(folder, "paper.json").read_text())["provenance"])

    def test_hardware_s_tables_are_of_time(self) -> None:
        sections = paper.sections(HARDWARE)
        self.assertEqual(["round_trip", "network", "kvs"], list(sections))
        self.assertIn("| crossing | 196.5 | - | 0 |", sections["round_trip"].text)
        self.assertIn("| 64 B | 32 | 50 (49 to 51) |", sections["network"].text)
        self.assertIn("| 64 B | 32 | 20,000,000 |", sections["network"].text)
        self.assertIn("| 2 | 50/50 | 300 (290 to 310) |", sections["kvs"].text)
        self.assertIn("| 2 | 50/50 | 6,600,000 |", sections["kvs"].text)
        for section in sections.values():
            self.assertNotIn("nstructions", section.text + "".join(section.plots.values()))

    def test_what_failed_is_named_and_the_rest_is_kept(self) -> None:
        played: dict[str, dict[str, Any]] = {one["name"]: {"ok": False} for one in paper.scenarios()}
        found, missing = paper.collect(played, WHERE)
        self.assertEqual(sorted(set(played) - {"crossing"}), sorted(why.split()[0] for why in missing))
        with tempfile.TemporaryDirectory() as folder:
            paper.write(found, Path(folder))
            self.assertEqual(["paper.json", "paper.md"], sorted(one.name for one in Path(folder).iterdir()))

    def test_only_the_emulated_host_loads_the_sweep_s_module(self) -> None:
        self.assertIn("sweep", {one["modules"] for one in paper.scenarios()})
        self.assertNotIn("sweep", {one["modules"] for one in paper.scenarios(hardware=True)})


if __name__ == "__main__":
    unittest.main()
