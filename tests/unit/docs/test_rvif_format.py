# SPDX-License-Identifier: Apache-2.0
"""docs/rvif-format.md has every number of rvif.h, and each of them right: a compiler says what they are."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INCLUDE = ROOT / "rvs/include"


def rows() -> dict[str, int]:
    """Value by expression, of all rows `| value | `expression` | ...`."""
    found: dict[str, int] = {}
    for line in (ROOT / "docs/rvif-format.md").read_text().splitlines():
        if row := re.match(r"\| (0x[0-9a-f]+|\d+) \| `([^`]+)` \|", line):
            if row[2] in found:
                raise AssertionError(f"{row[2]} has two rows")
            found[row[2]] = int(row[1], 0)
    return found


def c_expression(text: str) -> str:
    """`sizeof struct`, `struct.field` (where it is) or anything that C computes."""
    if text.startswith("sizeof "):
        return f"sizeof(struct {text.split()[1]})"
    if field := re.fullmatch(r"(rvif_\w+)\.(\w+)", text):
        return f"offsetof(struct {field[1]}, {field[2]})"
    return text


def in_header() -> set[str]:
    """All that is defined there, by the name that a row has for it."""
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / "rvs/rvif.h").read_text(), flags=re.DOTALL)
    names = {name for name in re.findall(r"^#define (RVIF_\w+)[^\w(]", text, re.MULTILINE)} - {"RVIF_H", "RVIF_EXPORT_NAME"}
    for body in re.findall(r"enum rvif_\w+ \{(.*?)\}", text, re.DOTALL):
        names |= set(re.findall(r"RVIF_\w+", body)) - {"RVIF_VERSION"}
    for struct, body in re.findall(r"struct (rvif_\w+) \{(.*?)\};", text, re.DOTALL):
        names.add(f"sizeof {struct}")
        names |= {f"{struct}.{field}" for field in re.findall(r"(\w+)(?:\[[^\]]*\])?;", body)}
    return names


class Format(unittest.TestCase):
    def test_everything_is_described(self) -> None:
        names = in_header()
        self.assertGreater(len(names), 100)
        self.assertEqual(sorted(names - set(rows())), [])

    def test_each_number_is_the_headers(self) -> None:
        described = rows()
        lines = "".join(f'\tprintf("%llu\\n", (unsigned long long)({c_expression(name)}));\n' for name in described)
        source = f"#include <rvs/rvif.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{{\n{lines}\treturn 0;\n}}\n"
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "numbers"
            subprocess.run([os.environ.get("CC", "cc"), "-x", "c", "-", "-I", INCLUDE, "-o", program], input=source, text=True, check=True)
            said = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(described, dict(zip(described, map(int, said), strict=True)))


if __name__ == "__main__":
    unittest.main()
