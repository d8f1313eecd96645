# SPDX-License-Identifier: Apache-2.0
"""docs/abi.md has the header's calls, errors, ioctls and offsets, with their numbers."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HEADER = (ROOT / "kvm-patch/abi/elisa_abi.h").read_text()
DOCUMENT = (ROOT / "docs/abi.md").read_text()


def table(first_line: str) -> dict[str, int]:
    """Number by name, of the table that begins so."""
    body = DOCUMENT.partition(first_line)[2].partition("\n\n")[0]
    return {name: int(number) for number, name in re.findall(r"^\| (\d+) \| (\w+) \|", body, re.MULTILINE)}


class Abi(unittest.TestCase):
    def same(self, first_line: str, pattern: str, at_least: int) -> None:
        there = {name: int(number) for name, number in re.findall(pattern, HEADER, re.MULTILINE)}
        self.assertGreaterEqual(len(there), at_least)
        self.assertEqual(table(first_line), there)

    def test_calls(self) -> None:
        self.same("| nr | call |", r"^\tELISA_CALL_(\w+)\s*= (\d+)", 20)

    def test_errors(self) -> None:
        self.same("| nr | name |", r"^\tELISA_E_(\w+)\s*= (\d+)", 20)

    def test_ioctls(self) -> None:
        self.same("| nr | ioctl |", r"^#define ELISA_IOC_(\w+)\s+_IOW?R?\('E', (\d+)", 7)

    def test_numbers_in_the_text(self) -> None:
        def of(name: str) -> str:
            found = re.search(rf"^#define ELISA_{name}\s+\(?(\w+)", HEADER, re.MULTILINE)
            assert found is not None, name
            return found[1]
        for said in (f"\nVersion {of('ABI_VERSION')}.", f"`ELISA_PORT` ({of('PORT')})", f"One PML4 entry, {of('SLOT_BASE').removesuffix('ull')}.",
                     f"`ENTRY_OFF` ({of('ENTRY_OFF')})", f"`LANDING_OFF` ({of('LANDING_OFF')})", f"| {of('CROSSING_MS')} ms | `ELISA_CROSSING_MS` |",
                     f"a changing one counts as {of('COST_CHANGE')} "):
            self.assertIn(said, DOCUMENT)


if __name__ == "__main__":
    unittest.main()
