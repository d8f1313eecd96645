# SPDX-License-Identifier: Apache-2.0
"""The tutorial's code is that of the example which is built, run in the lab (scenario exec) and built from the packages."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Shown whole; of the last one the lines about the example.
WHOLE = ("apps/exec/hello/hello.c", "apps/exec/hello/client.cpp", "tests/packages/hello/CMakeLists.txt", "lab/scenarios/exec.toml")
IN_PART = "apps/exec/CMakeLists.txt"


class Tutorial(unittest.TestCase):
    def test_its_code_is_the_examples(self) -> None:
        blocks = re.findall(r"^```\w+\n(.*?)^```$", (ROOT / "docs/tutorial.md").read_text(), re.MULTILINE | re.DOTALL)
        for path in WHOLE:
            with self.subTest(path):
                text = (ROOT / path).read_text()
                self.assertIn(text, blocks)
                blocks.remove(text)
        self.assertEqual(len(blocks), 1, "code that no test has seen")
        self.assertIn(blocks[0], (ROOT / IN_PART).read_text())


if __name__ == "__main__":
    unittest.main()
