# SPDX-License-Identifier: Apache-2.0
"""The comparison with others has the README's figures, and no others."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
Table = dict[str, dict[str, str]]  # row, column -> cell


def tables(path: str) -> list[Table]:
    found: list[Table] = []
    for block in re.findall(r"(?:^\|.*\n)+", (ROOT / path).read_text(), re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.replace("**", "").strip("|").split("|")] for line in block.splitlines())
        found.append({row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows})
    return found


def with_row(path: str, row: str) -> Table:
    matching = [table for table in tables(path) if row in table]
    assert len(matching) == 1, f"{path}: {len(matching)} tables have a row '{row}'"
    return matching[0]


class Figures(unittest.TestCase):
    def test_frames_a_second(self) -> None:
        here, there = with_row("docs/comparison.md", "OVS-DPDK"), with_row("README.md", "OVS-DPDK")
        self.assertGreater(len(here), 3)
        for name, cells in here.items():
            for column, cell in cells.items():
                self.assertEqual(cell, there[name][column], f"{name}, {column}")


if __name__ == "__main__":
    unittest.main()
