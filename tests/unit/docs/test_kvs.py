# SPDX-License-Identifier: Apache-2.0
"""The program in docs/kvs.md compiles as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INCLUDES = ("apps/kvs/client/include", "apps/kvs/store/include", "libelisa/include", "kvm-patch/abi")


class Store(unittest.TestCase):
    def test_the_example_compiles(self) -> None:
        blocks = re.findall(r"^```cpp\n(.*?)^```$", (ROOT / "docs/kvs.md").read_text(), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 1)
        program = f"#include <kvs/client.hpp>\n#include <chrono>\n#include <cstdio>\nint main()\n{{\n{blocks[0]}}}\n"
        done = subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-",
                               *(f"-I{ROOT / folder}" for folder in INCLUDES)], input=program, text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
