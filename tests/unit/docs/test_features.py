# SPDX-License-Identifier: Apache-2.0
"""The driver's feature table names a test for each row, and those tests are run."""

from __future__ import annotations

import re
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def rows() -> list[tuple[str, list[str]]]:
    """Feature and names of tests, for each row of the table."""
    text = (ROOT / "docs/net_rvif.md").read_text().partition("| feature |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()[2:]]
    return [(row[0], re.findall(r"`([^`]+)`", row[-1])) for row in cells]


def that_run() -> set[str]:
    """Everything that a suite of `./elisa test` runs, by the name that the table has for it."""
    found: set[str] = set()
    for script in (ROOT / "tests/direct").glob("test_*.py"):
        found |= set(re.findall(r"def test_(\w+)\(", script.read_text()))
    for program in (ROOT / "tests/direct").glob("*.cpp"):
        text = program.read_text()
        found |= set(re.findall(r"CASE\((\w+)\)", text)) | set(re.findall(r'current = "(\w+)";', text))
    for unit in (ROOT / "tests/unit").rglob("*_test.cpp"):
        found |= {".".join(pair) for pair in re.findall(r"TEST(?:_[FP])?\((\w+),\s*(\w+)\)", unit.read_text())}
    for scenario in (ROOT / "lab/scenarios").glob("*.toml"):
        if tomllib.loads(scenario.read_text()).get("suite", "test") == "test":
            found.add(scenario.stem)
    return found


class FeaturesTest(unittest.TestCase):
    def test_each_row_names_a_test_that_runs(self) -> None:
        table = rows()
        self.assertGreater(len(table), 20)
        existing = that_run()
        for feature, tests in table:
            self.assertTrue(tests, f"'{feature}' names no test")
            for test in tests:
                self.assertIn(test, existing, f"'{feature}' names a test that nobody runs")

    def test_each_offload_is_used_by_a_test(self) -> None:
        offered = set(re.findall(r"RTE_ETH_[RT]X_OFFLOAD_\w+", (ROOT / "pmd_rvif/attributes.cpp").read_text()))
        self.assertGreater(len(offered), 10)
        used = "".join(path.read_text() for path in (ROOT / "tests/direct").glob("*.cpp"))
        self.assertEqual([], sorted(name for name in offered if not re.search(rf"\b{name}\b", used)))


if __name__ == "__main__":
    unittest.main()
