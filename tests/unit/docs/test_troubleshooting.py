# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md has a row, with what to do, for every error of the ABI and every reason for a drop."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def entries() -> dict[str, list[str]]:
    """Further cells of each row, by every name in code in its first."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines():
        if line.startswith("| `"):
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            if re.fullmatch(r"`\w+`(, `\w+`)*", first):
                for name in re.findall(r"`(\w+)`", first):
                    found.setdefault(name, others)
    return found


class Troubleshooting(unittest.TestCase):
    def has_entries(self, names: list[str], at_least: int) -> None:
        self.assertGreater(len(names), at_least)
        rows = entries()
        self.assertEqual([name for name in names if name not in rows], [])
        self.assertEqual([name for name in names if not any(rows[name][1:])], [], "nothing is said about them")

    def test_each_error(self) -> None:
        text = (ROOT / "kvm-patch/abi/elisa_abi.h").read_text()
        self.has_entries(re.findall(r"^\t(ELISA_E_\w+)\s*=", text, re.MULTILINE), 20)

    def test_each_reason_for_a_drop(self) -> None:
        text = (ROOT / "rvs/src/names.c").read_text()
        self.has_entries(re.findall(r'\[RVIF_DROP_\w+\] = "(\w+)"', text), 20)

    def test_what_an_uplink_drops_is_described(self) -> None:
        text = re.sub(r"//.*", "", (ROOT / "apps/uplink/counters.hpp").read_text())
        described = (ROOT / "docs/networks.md").read_text()
        names = re.findall(r'"(\w+)"', text)
        self.assertGreater(len(names), 4)
        self.assertEqual([name for name in names if f"| `{name}` |" not in described], [])


if __name__ == "__main__":
    unittest.main()
