# SPDX-License-Identifier: Apache-2.0
"""Every setting of a manager's configuration is in the example that is installed and in the document."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Settings(unittest.TestCase):
    def shown(self, source: str, tables: set[str], least: int, *places: str) -> None:
        lists = re.findall(r"allow_only\(\s*\{([^}]*)\}", (ROOT / source).read_text())
        keys = {key for names in lists for key in re.findall(r'"(\w+)"', names)} - tables
        self.assertGreaterEqual(len(keys), least)
        for path in places:
            text = (ROOT / path).read_text()
            missing = sorted(key for key in keys if not re.search(rf"^\W*{key} = |`{key}`", text, re.MULTILINE))
            self.assertEqual(missing, [], f"not in {path}")

    def test_vmnets(self) -> None:
        self.shown("apps/vmnet/config.cpp", {"switch", "log", "metrics", "guest"}, 20,
                   "apps/vmnet/vmnet.example.toml", "docs/switch.md")

    def test_the_key_value_stores(self) -> None:
        self.shown("apps/kvs/manager/config.cpp", {"store", "guest"}, 6, "apps/kvs/kvs.example.toml", "docs/kvs.md")


if __name__ == "__main__":
    unittest.main()
