# SPDX-License-Identifier: Apache-2.0
"""`bench paper`: tables and plots of whatever has been measured."""

from __future__ import annotations

import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

from elisalab import paper

FOUND = {
    "unit": "instructions",
    "round_trip": {"crossing": {"instructions": 67, "vmfuncs": 4, "exits": 0}, "vmcall": {"instructions": 1187, "exits": 1.01},
                   "doorbell": {"instructions": 1378, "exits": 1}, "syscall": {"instructions": 231, "exits": 0}},
    "network": [{"system": "rvif", "size": 64, "burst": 32, "instructions_per_frame": 400.0, "exits_per_frame": 0.003},
                {"system": "direct", "size": 64, "burst": 32, "instructions_per_frame": 380.0, "exits_per_frame": 0.002},
                {"system": "rvif", "size": 1518, "burst": 32, "instructions_per_frame": 900.0, "exits_per_frame": 0.004}],
    "kvs": [{"system": "elisa", "guests": 1, "get_percent": 90, "instructions_per_operation": 1500, "exits_per_operation": 0.01}],
}


class PaperTest(unittest.TestCase):
    def test_tables_and_plots_are_written(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = paper.write(FOUND, "a machine", Path(folder))
            text = path.read_text()
            self.assertIn("| VMCALL | 1,187 | 0 | 1.01 |", text)
            self.assertIn("| 64 B | 32 | 400 | 380 | 0.003 | 0.002 |", text)
            self.assertIn("| 1518 B | 32 | 900 | - | 0.004 | - |", text)
            self.assertIn("| 1 | 90/10 | 1,500 | 0.010 |", text)
            for name in ("paper-roundtrip.svg", "paper-network.svg", "paper-kvs.svg"):
                self.assertIn(f"({name})", text)
                xml.parse(path.with_name(name))

    def test_what_failed_is_named_and_the_rest_is_kept(self) -> None:
        played = {one["name"]: {"ok": False} for one in paper.scenarios()}
        found, missing = paper.collect(played, "instructions")
        self.assertEqual(9, len(missing))
        with tempfile.TemporaryDirectory() as folder:
            paper.write(found, "a machine", Path(folder))
            self.assertEqual(["paper.json", "paper.md"], sorted(one.name for one in Path(folder).iterdir()))


if __name__ == "__main__":
    unittest.main()
